//! What moves HEAD besides a promotion: recovery at opening, rollback, and forgetting an example.
//!
//! It knows no training. Invariant: HEAD always names a version whose record and adapter were found intact, or the
//! base model; each move is one atomic write together with its journal line.

use super::audit::Line;
use super::checkout::RefRecord;
use super::example::{Example, Past};
use super::keys::{CHECKPOINT, STAGE, drill_key, scores_key};
use super::learner::{LearnError, LearnResult, Learner, json};
use super::names::{BASE, HEAD};
use super::replay::{PRIORITY_MAX, learnability};
use super::report::{Action, DeleteReport};
use super::student::Student;
use super::version::{Version, Versions, lineage};
use crate::model::adapter::Adapter;
use crate::store::{Store, Table, Write};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The record under `Refs/held`: adapters of candidates that were held, the newest last.
pub(super) const HELD: &str = "held";

/// Candidates that are kept though they were held.
const HELD_MAX: usize = 2;

impl<S: Store> Learner<S> {
    /// Puts HEAD, and the branch that it is on, back: to a version by any of its names, or to HEAD's parent. The
    /// student serves the new HEAD on return. Returns its id.
    pub async fn rollback(
        &mut self,
        student: &mut dyn Student,
        version: Option<&str>,
    ) -> LearnResult<Option<String>> {
        let to = match version {
            Some(name) => self.resolve(name)?,
            None => self.head().ok_or(LearnError::AtBase)?.parent.clone(),
        };
        let note = format!("rolled back to {}", to.as_deref().unwrap_or(BASE));
        self.put_head(student, to, Action::Rollback, note).await
    }

    /// Makes a version HEAD, and puts it in place. Nothing changes where it cannot be.
    pub(super) async fn put_head(
        &mut self,
        student: &mut dyn Student,
        to: Option<String>,
        action: Action,
        note: String,
    ) -> LearnResult<Option<String>> {
        let target = match &to {
            // HEAD's parent can have been pruned.
            Some(id) => {
                let found = self.versions.get(id).cloned();
                Some(found.ok_or_else(|| LearnError::NoVersion(id.clone()))?)
            }
            None => None,
        };
        self.check_base(student, target.as_ref())?;
        if let Some((version, origin)) =
            target.as_ref().and_then(|v| Some((&v.id, v.origin.as_ref()?)))
        {
            let (version, origin) = (version.clone(), origin.clone());
            return Err(LearnError::Foreign { version, origin });
        }
        // Read before HEAD moves: a damaged version must not become HEAD.
        let served = self.served(target.as_ref()).await?;
        let examples = weighed(&self.examples, &self.versions, to.as_deref());
        let mut writes = self.head_writes(&to);
        writes.extend(self.changed(&examples));
        self.commit(writes, Line::new(action, to.clone(), note)).await?;
        self.head_moved(to.clone());
        self.examples = examples;
        served.put(student).await?;
        Ok(to)
    }

    /// Deletes an example: it leaves the buffer, every version that was trained on it goes, and HEAD and what names
    /// such a version go back to the last one that never saw it. What the lost versions had learned besides waits for
    /// the next cycle; `forget` learns it again at once.
    pub async fn delete_example(&mut self, id: &str) -> LearnResult<DeleteReport> {
        if !self.knows(id) {
            return Err(LearnError::NoExample(id.into()));
        }
        let gone = self.saw(id);
        let before = |from: &str| gone.contains(from).then(|| self.unseen_before(from, &gone));
        let to = self.head.as_deref().and_then(|head| before(head).unwrap_or(self.head.clone()));
        let note = format!("example {id} deleted, with {} versions that saw it", gone.len());
        let mut versions = self.versions.clone();
        versions.retain(|id, _| !gone.contains(id));
        let mut writes = self.changed(&weighed(&self.examples, &versions, to.as_deref()));
        writes.extend(self.renaming(&before));
        writes.extend(self.head_writes(&to));
        writes.extend(self.erasure(id, &gone));
        let line = Line::new(Action::Delete, to.clone(), note);
        self.commit(writes, Line { examples: vec![id.into()], ..line }).await?;
        let head_moved = self.head != to;
        self.reload().await?;
        Ok(DeleteReport { versions: gone.into_iter().collect(), head: to, head_moved })
    }

    /// Whether an example is kept, be it as one that another replaced.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.examples.contains_key(id) || self.past.values().any(|past| past.example.id == id)
    }

    /// The versions that an example is in. One that descends from one that saw it carries it on.
    pub(super) fn saw(&self, id: &str) -> BTreeSet<String> {
        let saw = |version: &&Version| self.versions.saw(&version.id).contains(id);
        self.versions.values().filter(saw).map(|version| version.id.clone()).collect()
    }

    /// The newest ancestor of a version, by first parents, that is not among `gone`; none is the base model.
    pub(super) fn unseen_before(&self, from: &str, gone: &BTreeSet<String>) -> Option<String> {
        let line = lineage(&self.versions, Some(from));
        line.iter().find(|version| !gone.contains(&version.id)).map(|v| v.id.clone())
    }

    /// The writes that take an example out of every table, with the versions that saw it, the candidates that may have,
    /// and what is known of pruned ones. What it had replaced comes back, unless something else would have replaced it.
    pub(super) fn erasure(&self, id: &str, gone: &BTreeSet<String>) -> Vec<Write> {
        let mut writes = vec![
            Write::delete(Table::Examples, id),
            Write::delete(Table::Quarantine, id),
            Write::delete(Table::Cache, drill_key(id)),
            Write::delete(Table::Refs, HELD),
            // Its weights may have seen the example.
            Write::delete(Table::Refs, CHECKPOINT),
            // It may quote other examples, and would not be taken up again.
            Write::delete(Table::Refs, STAGE),
        ];
        for version in gone {
            writes.push(Write::delete(Table::Versions, version));
            writes.push(Write::delete(Table::Cache, scores_key(version)));
        }
        let (own, others): (Vec<&Past>, Vec<&Past>) =
            self.past.values().partition(|past| past.example.id == id);
        writes.extend(own.iter().map(|past| Write::delete(Table::Examples, past.key())));
        for replaced in others.into_iter().filter(|past| past.by == id) {
            writes.push(Write::delete(Table::Examples, replaced.key()));
            let next = own.iter().filter(|own| own.until >= replaced.until);
            match next.min_by_key(|own| own.until) {
                Some(next) => {
                    let (until, by) = (next.until, next.by.clone());
                    let kept = Past { until, by, ..replaced.clone() };
                    writes.push(Write::put(Table::Examples, kept.key(), json(&kept)));
                }
                None => {
                    let back = &replaced.example;
                    writes.push(Write::put(Table::Examples, &back.id, json(back)));
                }
            }
        }
        let mut pruned = self.versions.pruned().clone();
        for sum in pruned.values_mut() {
            sum.saw.remove(id);
            sum.learned.remove(id);
            sum.measured.remove(id);
        }
        if pruned != *self.versions.pruned() {
            writes.push(super::prune::pruned_write(&pruned));
        }
        writes
    }

    /// Reads HEAD; a damaged one gives way to its newest intact ancestor.
    pub(super) async fn recover_head(&mut self) -> LearnResult<()> {
        self.head = None;
        let Some(record) = self.store.get(Table::Refs, HEAD).await? else { return Ok(()) };
        let named = serde_json::from_slice::<RefRecord>(&record).ok().map(|head| {
            self.names.current = head.branch;
            head.version
        });
        let Some(named) = named else {
            return self.fall_back(self.newest(), "the record of HEAD is damaged").await;
        };
        let Some(id) = named else { return Ok(()) };
        match self.versions.get(&id) {
            Some(version) if self.is_whole(version).await? => {
                self.head = Some(id);
                Ok(())
            }
            Some(version) => {
                let parent = version.parent.clone();
                self.fall_back(parent, &format!("the adapter of HEAD {id} is damaged")).await
            }
            None => {
                // Its parent is not known any more: the newest of the others is the best guess.
                self.fall_back(self.newest(), &format!("the record of HEAD {id} is damaged")).await
            }
        }
    }

    /// The newest version that was learned here.
    fn newest(&self) -> Option<String> {
        let own = self.versions().into_iter().rfind(|version| version.origin.is_none());
        own.map(|version| version.id.clone())
    }

    /// The blobs that versions, held candidates and what is being rebuilt name.
    pub(super) async fn named_blobs(&self) -> LearnResult<HashSet<String>> {
        let mut named: HashSet<String> = self.versions.values().flat_map(Version::blobs).collect();
        named.extend(self.held().await?);
        named.extend(self.staged_blobs().await?);
        Ok(named)
    }

    /// Deletes blobs that nothing names, as a crash leaves them.
    pub(super) async fn collect_garbage(&self) -> LearnResult<()> {
        let mut named = self.named_blobs().await?;
        named.extend(self.kept_checkpoint().await?.into_iter().flat_map(|kept| kept.blobs));
        for blob in self.store.list_blobs().await? {
            if !named.contains(&blob) {
                self.store.delete_blob(&blob).await?;
            }
        }
        Ok(())
    }

    /// Keeps a held candidate's adapter beside the versions, the newest few.
    pub(super) async fn keep_held(&self, candidate: &Adapter) -> LearnResult<Write> {
        let mut held = self.held().await?;
        let hash = self.store.put_blob(&candidate.to_bytes()).await?;
        held.retain(|other| *other != hash);
        held.push(hash);
        let first = held.len().saturating_sub(HELD_MAX);
        Ok(Write::put(Table::Refs, HELD, json(&held[first..].to_vec())))
    }

    async fn held(&self) -> LearnResult<Vec<String>> {
        let record = self.store.get(Table::Refs, HELD).await?;
        Ok(record.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    /// Walks from `candidate` to its ancestors until one is whole, and makes it HEAD.
    async fn fall_back(&mut self, candidate: Option<String>, what: &str) -> LearnResult<()> {
        let line: Vec<Version> =
            lineage(&self.versions, candidate.as_deref()).into_iter().cloned().collect();
        let mut to = None;
        for version in line {
            if self.is_whole(&version).await? {
                to = Some(version.id);
                break;
            }
        }
        let note = format!("{what}; {} answers now", to.as_deref().unwrap_or("the base model"));
        let line = Line::new(Action::Fallback, to.clone(), note.clone());
        let examples = weighed(&self.examples, &self.versions, to.as_deref());
        let mut writes = self.head_writes(&to);
        writes.extend(self.changed(&examples));
        self.commit(writes, line).await?;
        self.head_moved(to);
        self.examples = examples;
        self.warnings.push(note);
        Ok(())
    }

    /// Whether a version's adapter is intact (its record was checked when it was loaded). A store that cannot be
    /// read is an error, no damage.
    pub(super) async fn is_whole(&self, version: &Version) -> LearnResult<bool> {
        match self.adapter_of(version).await {
            Ok(_) => Ok(true),
            Err(LearnError::Store(crate::store::StoreError::Damaged { .. }))
            | Err(LearnError::Adapter(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The examples with the weights in replay draws that the line of `head` gives them. Lines of older programs, which did
/// not say what they measured, leave weights as they are.
pub(super) fn weighed(
    examples: &BTreeMap<String, Example>,
    versions: &Versions,
    head: Option<&str>,
) -> BTreeMap<String, Example> {
    let measured = versions.measured(head);
    let complete = versions.say_losses(head);
    let mut weighed = examples.clone();
    for (id, example) in &mut weighed {
        match measured.get(id) {
            Some(of) => {
                example.loss_best = Some(of.best);
                example.measured = of.at;
                example.priority = learnability(of.last, of.best);
            }
            None if complete => {
                (example.loss_best, example.measured, example.priority) = (None, 0, PRIORITY_MAX);
            }
            None => {}
        }
    }
    weighed
}
