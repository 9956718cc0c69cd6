//! Pruning: what the history keeps, so that a home does not grow with every promotion.
//!
//! Kept are HEAD, its last ancestors, whatever was made since the oldest of these, and adapters that a person imported; and
//! the newest lines of the journal. It knows no training. Invariant: records go in the write that moves HEAD, adapters after
//! it, so a crash between leaves adapters that nothing names, which the next opening deletes.

use super::example::Example;
use super::keys::scores_key;
use super::learner::{LearnResult, Learner, json};
use super::version::{Pruned, Version, Versions, lineage};
use crate::store::{Store, Table, Write};
use std::collections::{BTreeMap, BTreeSet};

/// Ancestors of HEAD that are kept.
pub const ANCESTORS: usize = 20;

/// Lines of the journal that are kept.
pub const JOURNAL_LINES: usize = 500;

/// The record under `Refs/pruned`: what is known of pruned versions that kept ones descend from.
const PRUNED: &str = "pruned";

/// Takes out of `versions` what is not kept beside `head`, and returns the writes that do the same in the store.
pub(super) fn prune(
    versions: &mut Versions,
    head: &str,
    examples: &BTreeMap<String, Example>,
) -> Vec<Write> {
    let line = lineage(versions, Some(head));
    if line.len() <= ANCESTORS + 1 {
        return Vec::new();
    }
    let own: BTreeSet<&str> = line.iter().map(|version| version.id.as_str()).collect();
    let oldest_ms = line[ANCESTORS].created_ms;
    let near: BTreeSet<&str> = line[..=ANCESTORS].iter().map(|v| v.id.as_str()).collect();
    let stays = |version: &Version| match own.contains(version.id.as_str()) {
        true => near.contains(version.id.as_str()),
        // What a person imported has no parent.
        false => version.parent.is_none() || version.created_ms >= oldest_ms,
    };
    let gone: BTreeSet<String> =
        versions.values().filter(|v| !stays(v)).map(|v| v.id.clone()).collect();
    let parents = versions.values().filter(|v| stays(v)).filter_map(|v| v.parent.clone());
    let cut = |id: &String| gone.contains(id) || versions.pruned().contains_key(id);
    let counts = |id: &str| examples.contains_key(id);
    let pruned: BTreeMap<String, Pruned> = parents
        .filter(cut)
        .map(|id| {
            let sum = versions.sum(&id, &counts);
            (id, sum)
        })
        .collect();
    let mut writes = vec![Write::put(Table::Refs, PRUNED, json(&pruned))];
    for id in &gone {
        writes.push(Write::delete(Table::Versions, id));
        writes.push(Write::delete(Table::Cache, scores_key(id)));
    }
    versions.retain(|id, _| !gone.contains(id));
    versions.remember(pruned);
    writes
}

impl<S: Store> Learner<S> {
    /// Reads what is known of pruned versions.
    pub(super) async fn load_pruned(&mut self) -> LearnResult<()> {
        let Some(record) = self.store.get(Table::Refs, PRUNED).await? else { return Ok(()) };
        match serde_json::from_slice(&record) {
            Ok(pruned) => self.versions.remember(pruned),
            Err(error) => {
                let text = format!("the record of pruned versions is damaged: {error}");
                self.warnings.push(text);
            }
        }
        Ok(())
    }

    /// The writes that keep the journal at its length when a line is added.
    pub(super) fn old_lines(&self) -> Vec<Write> {
        let old = (self.journal.len() + 1).saturating_sub(JOURNAL_LINES);
        let delete = |number: u64| Write::delete(Table::Journal, format!("{number:012}"));
        self.journal[..old].iter().map(|entry| delete(entry.number)).collect()
    }

    /// Deletes adapters that nothing names any more. What cannot be deleted now waits for the next opening.
    pub(super) async fn sweep(&mut self) {
        if let Err(error) = self.collect_garbage().await {
            self.warnings.push(format!("an old adapter could not be deleted: {error}"));
        }
    }
}
