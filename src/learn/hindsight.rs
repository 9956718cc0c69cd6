//! The examples and the quarantine as they would be had one example never been taught, and as they were at a line of the
//! journal.
//!
//! It knows no versions. Invariant: what an example replaced is there again without it, unless something else replaced
//! that since.

use super::example::{Example, Past};
use super::learner::{Learner, Quarantined, json};
use crate::store::{Store, Table, Write};
use std::collections::{BTreeMap, BTreeSet};

impl<S: Store> Learner<S> {
    /// The examples without one, as if it had never been taught: what it replaced is there again, or was replaced by what
    /// replaced it.
    pub(super) fn without(&self, id: &str) -> (BTreeMap<String, Example>, Vec<Past>) {
        let mut examples = self.examples.clone();
        let mut past = self.past.clone();
        for Write { key, value, .. } in
            self.erasure(id, &BTreeSet::new()).iter().filter(|w| w.table == Table::Examples)
        {
            let is_past = key.starts_with(Past::KEYS);
            match value {
                None if is_past => drop(past.remove(key)),
                None => drop(examples.remove(key)),
                Some(value) if is_past => {
                    past.extend(serde_json::from_slice(value).ok().map(|p| (key.clone(), p)));
                }
                Some(value) => {
                    examples.extend(serde_json::from_slice(value).ok().map(|e| (key.clone(), e)));
                }
            }
        }
        (examples, past.into_values().collect())
    }

    /// What was in quarantine after a line of the journal.
    pub(super) fn set_aside_at(&self, line: u64, without: &str) -> BTreeMap<String, Quarantined> {
        let then = self.quarantine.iter().filter(|(id, q)| q.since <= line && *id != without);
        let as_then = then.map(|(id, q)| {
            let released = q.released && q.released_since <= line;
            (id.clone(), Quarantined { released, ..q.clone() })
        });
        as_then.collect()
    }

    /// The writes that make the quarantine this one.
    pub(super) fn requarantined(&self, quarantine: &BTreeMap<String, Quarantined>) -> Vec<Write> {
        let gone = self.quarantine.keys().filter(|id| !quarantine.contains_key(*id));
        let gone = gone.map(|id| Write::delete(Table::Quarantine, id));
        let put = quarantine.iter().filter(|(id, q)| self.quarantine.get(*id) != Some(*q));
        let put = put.map(|(id, q)| Write::put(Table::Quarantine, id, json(q)));
        gone.chain(put).collect()
    }
}
