//! The script of a line: which cycles led to a version, with all that they depended on, so that they can be repeated.
//!
//! A cycle's randomness follows from the adapter that it starts from, what it teaches, and how often that was tried there;
//! never from a counter that other lessons move. It runs nothing. Invariant: two lives that taught the same lessons in
//! the same order from the same adapter draw the same, whatever else one of them was taught and has forgotten.

use super::learner::{Learner, json};
use super::report::{Action, CycleInputs, JournalEntry, LearnOptions};
use crate::store::{Store, Table, Write, sha256_hex};
use std::collections::{BTreeMap, BTreeSet};

/// Beginning of the keys under `Refs` of the options that cycles ran with.
const OPTIONS: &str = "options/";

/// One part of a script.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// Its journal line, with versions by the ids that they have now.
    pub entry: JournalEntry,
    /// Whether it is run again; else it only counts as tried.
    pub run: bool,
}

/// The way to a version.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Script {
    /// The version that it starts from; none is the base model.
    pub start: Option<String>,
    /// The journal's line after which it starts.
    pub after: u64,
    /// What follows.
    pub steps: Vec<Step>,
    /// Why repeating it may not give what it gave; empty if it does.
    pub doubts: Vec<String>,
}

impl<S: Store> Learner<S> {
    /// What a cycle with these options depends on, and the write that keeps the options.
    pub(super) fn inputs(&self, options: &LearnOptions) -> (CycleInputs, Write) {
        let record = json(options);
        let options = sha256_hex(&record)[..16].to_string();
        let suites = sha256_hex(format!("{:?}", self.suites).as_bytes())[..16].to_string();
        let write = Write::put(Table::Refs, format!("{OPTIONS}{options}"), record);
        (CycleInputs { seed: self.seed, options, suites }, write)
    }

    /// The options that a cycle ran with.
    pub(super) async fn options_of(
        &self,
        inputs: &CycleInputs,
    ) -> super::learner::LearnResult<Option<LearnOptions>> {
        let key = format!("{OPTIONS}{}", inputs.options);
        let record = self.store.get(Table::Refs, &key).await?;
        Ok(record.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// The seed of a cycle from HEAD that teaches these: another one each time that it is tried again, so that a cycle
    /// that was held is not repeated to the letter.
    pub(super) fn cycle_seed(&self, base_hash: &str, new: &[String]) -> u64 {
        let from = self.head().map_or(base_hash, |head| &head.adapter);
        let tried = self.tried(new);
        let text = format!("{}/{from}/{tried}/{}", self.seed, new.join("/"));
        u64::from_str_radix(&sha256_hex(text.as_bytes())[..16], 16).expect("sixteen hex digits")
    }

    /// How often a cycle from HEAD that taught these has ended.
    fn tried(&self, new: &[String]) -> usize {
        let forgotten = self.forgotten();
        let same = |entry: &&JournalEntry| {
            let counts = matches!(entry.action, Action::Cycle | Action::Failed);
            let kept = entry.examples.iter().filter(|id| !forgotten.contains(*id));
            counts && kept.eq(new) && self.called_now(entry, &entry.from) == self.head
        };
        self.journal.iter().filter(same).count()
    }

    /// The examples that were forgotten and not taught again.
    fn forgotten(&self) -> BTreeSet<String> {
        let gone = |entry: &&JournalEntry| matches!(entry.action, Action::Forget | Action::Delete);
        let ids = self.journal.iter().filter(gone).flat_map(|entry| &entry.examples);
        ids.filter(|id| !self.examples.contains_key(*id)).cloned().collect()
    }

    /// What a version that a line names became since.
    pub(super) fn called_now(&self, entry: &JournalEntry, id: &Option<String>) -> Option<String> {
        let later = self.journal.iter().filter(|other| other.number > entry.number);
        let renamed = later.filter(|other| !other.renamed.is_empty());
        renamed.fold(id.clone(), |id, other| {
            let id = id?;
            other.renamed.get(&id).cloned().unwrap_or(Some(id))
        })
    }

    /// The journal as it reads now: versions by their present ids, without what was forgotten or is in `without`.
    fn present(&self, without: &str) -> Vec<JournalEntry> {
        let forgotten = self.forgotten();
        let of = |entry: &JournalEntry| {
            let mut now = entry.clone();
            now.from = self.called_now(entry, &entry.from);
            now.to = self.called_now(entry, &entry.to);
            now.examples.retain(|id| *id != without && !forgotten.contains(id));
            now.renamed.clear();
            now
        };
        self.journal.iter().map(of).collect()
    }

    /// How to come to `target` again without an example, from the newest version on its line that never saw it (`saw`
    /// has those that did). `tail`: what was tried from `target` itself is tried again too.
    pub(super) fn script(
        &self,
        target: &str,
        without: &str,
        saw: &BTreeSet<String>,
        tail: bool,
    ) -> (Script, Vec<JournalEntry>) {
        let journal = self.present(without);
        let made: BTreeMap<&String, &JournalEntry> = journal
            .iter()
            .rev()
            .filter(|entry| entry.from != entry.to && makes(entry.action))
            .filter_map(|entry| Some((entry.to.as_ref()?, entry)))
            .collect();
        let parent = |id: &String| match self.versions.get(id) {
            Some(version) => version.parent.clone(),
            None => made.get(id).and_then(|entry| entry.from.clone()),
        };
        // From the target back to a version to start from.
        let mut path = BTreeSet::new();
        let mut at = Some(target.to_string());
        let start = loop {
            let Some(id) = at else { break None };
            let is_free = self.versions.contains_key(&id) && !saw.contains(&id);
            let is_known = made.contains_key(&id) || parent(&id).is_none();
            if (is_free && is_known) || !path.insert(Some(id.clone())) {
                break Some(id);
            }
            at = parent(&id);
        };
        path.insert(start.clone());
        let made_at = start.as_ref().and_then(|id| made.get(id)).map_or(0, |entry| entry.number);
        let after = made_at.max(self.taught_at(without));
        let target_at = made.get(&target.to_string()).map_or(u64::MAX, |entry| entry.number);
        let mut script = Script { start, after, ..Script::default() };
        for entry in journal.iter().filter(|entry| entry.number > after) {
            if !path.contains(&entry.from) || (!tail && entry.number > target_at) {
                continue;
            }
            let cycle = entry.action == Action::Cycle;
            if cycle && path.contains(&entry.to) {
                script.steps.push(Step { entry: entry.clone(), run: true });
            } else if cycle || entry.action == Action::Failed {
                script.steps.push(Step { entry: entry.clone(), run: false });
            }
        }
        self.doubt(&mut script, &path);
        let before = journal.into_iter().filter(|entry| entry.number <= after).collect();
        (script, before)
    }

    /// The journal's last line when an example was first taught.
    fn taught_at(&self, id: &str) -> u64 {
        let past = self.past.values().map(|past| &past.example).filter(|e| e.id == id);
        self.examples.get(id).into_iter().chain(past).map(|e| e.since).min().unwrap_or(0)
    }

    /// Says what a script cannot promise.
    fn doubt(&self, script: &mut Script, path: &BTreeSet<Option<String>>) {
        let (inputs, _) = self.inputs(&LearnOptions::default());
        let mut made: BTreeSet<&Option<String>> = BTreeSet::from([&script.start]);
        for Step { entry, .. } in script.steps.iter().filter(|step| step.run) {
            made.insert(&entry.to);
            let number = entry.number;
            match &entry.cycle {
                None => script.doubts.push(format!("cycle {number} did not say its options")),
                Some(cycle) if cycle.suites != inputs.suites => {
                    script.doubts.push(format!("cycle {number} was examined on other suites"));
                }
                Some(_) => {}
            }
        }
        let lost = path.iter().filter(|id| !made.contains(id)).flatten();
        let lost = lost.filter(|id| self.versions.get(*id).is_some_and(|v| v.merged.is_some()));
        script.doubts.extend(lost.map(|id| format!("the merge {id} is not made again")));
    }
}

/// Whether a line's end is a version that it made.
fn makes(action: Action) -> bool {
    matches!(action, Action::Cycle | Action::Merge)
}
