//! Lessons that do not stick: after some cycles they wait for a person instead of holding up the others.
//!
//! What was trained in vain is counted in the journal, so that a repeated history comes to the same. It knows no training.
//! Invariant: nothing is dropped; a lesson that is let through again is tried as often again.

use super::example::Example;
use super::learner::{Learner, Quarantined};
use super::recipe::Lesson;
use super::report::Action;
use crate::store::Store;
use std::collections::BTreeMap;

/// Cycles that train on a lesson before it is set aside.
pub const TRIES: usize = 3;

impl<S: Store> Learner<S> {
    /// Of the new lessons of a cycle whose end is the next line of the journal, those that it did not learn either and that
    /// have been tried often enough, with the reasons.
    pub(super) fn given_up(
        &self,
        new: &[Lesson],
        learned: &[String],
    ) -> BTreeMap<String, Quarantined> {
        let tired =
            |example: &&Example| !learned.contains(&example.id) && self.tries(example) + 1 >= TRIES;
        let examples = new.iter().map(|lesson| &lesson.example).filter(tired);
        let reason = format!(
            "{TRIES} cycles trained on it and it is not said; teach it in other words, or release it to be tried again"
        );
        let held = Quarantined { since: self.chain.number + 1, ..Quarantined::new(reason) };
        examples.map(|example| (example.id.clone(), held.clone())).collect()
    }

    /// Cycles that trained on an example since it was taught or let through.
    fn tries(&self, example: &Example) -> usize {
        let released = self.quarantine.get(&example.id).map_or(0, |held| held.released_since);
        let since = example.since.max(released);
        let trained = self.journal.iter().filter(|entry| entry.number > since);
        let trained = trained.filter(|entry| entry.action == Action::Cycle);
        trained.filter(|entry| entry.examples.contains(&example.id)).count()
    }
}
