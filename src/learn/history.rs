//! What moves HEAD besides a promotion: recovery at opening, rollback, and forgetting an example.
//!
//! It knows no training. Invariant: HEAD always names a version whose record and adapter were found intact, or the
//! base model; each move is one atomic write together with its journal line.

use super::keys::{drill_key, scores_key};
use super::learner::{LearnError, LearnResult, Learner, json};
use super::report::{Action, DeleteReport};
use super::student::Student;
use super::version::{Version, lineage};
use crate::model::adapter::Adapter;
use crate::store::{Store, Table, Write};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashSet};

/// The record under `Refs/HEAD`.
const HEAD: &str = "HEAD";

/// The record under `Refs/held`: adapters of candidates that were held, the newest last.
const HELD: &str = "held";

/// Candidates that are kept though they were held.
const HELD_MAX: usize = 2;

/// The name that means the base model where a version is asked for.
pub const BASE: &str = "base";

#[derive(Serialize, Deserialize)]
struct HeadRecord {
    version: Option<String>,
}

impl<S: Store> Learner<S> {
    /// Puts HEAD back: to a version (its id, the beginning of one, or `base`), or to HEAD's parent. The student
    /// serves the new HEAD on return. Returns its id.
    pub async fn rollback(
        &mut self,
        student: &mut dyn Student,
        version: Option<&str>,
    ) -> LearnResult<Option<String>> {
        let to = match version {
            Some(name) => self.resolve(name)?,
            None => self.head().ok_or(LearnError::AtBase)?.parent.clone(),
        };
        let target = match &to {
            // HEAD's parent can have been pruned.
            Some(id) => {
                let found = self.versions.get(id).cloned();
                Some(found.ok_or_else(|| LearnError::NoVersion(id.clone()))?)
            }
            None => None,
        };
        self.check_base(student, target.as_ref())?;
        // Read before HEAD moves: a damaged version must not become HEAD.
        let served = self.served(target.as_ref()).await?;
        let name = to.as_deref().unwrap_or(BASE);
        let (entry, line) =
            self.entry(Action::Rollback, to.clone(), format!("rolled back to {name}"), None);
        self.store.apply(&[head_write(&to), line]).await?;
        self.journal.push(entry);
        self.head = to.clone();
        served.put(student).await?;
        Ok(to)
    }

    /// Forgets an example: it leaves the buffer, every version that was trained on it goes, and HEAD goes back to
    /// the last one that never saw it. What the lost versions had learned besides waits for the next cycle.
    pub async fn delete_example(&mut self, id: &str) -> LearnResult<DeleteReport> {
        if !self.examples.contains_key(id) {
            return Err(LearnError::NoExample(id.into()));
        }
        // A version that descends from one that saw it carries it on.
        let saw = |version: &&Version| self.versions.saw(&version.id).contains(id);
        let gone: BTreeSet<String> =
            self.versions.values().filter(saw).map(|version| version.id.clone()).collect();
        let line = lineage(&self.versions, self.head.as_deref());
        let to = line.iter().find(|version| !gone.contains(&version.id)).map(|v| v.id.clone());
        let note = format!("example {id} deleted, with {} versions that saw it", gone.len());
        let (entry, journal) = self.entry(Action::Delete, to.clone(), note, None);
        let mut writes = vec![journal, head_write(&to)];
        writes.push(Write::delete(Table::Examples, id));
        writes.push(Write::delete(Table::Quarantine, id));
        writes.push(Write::delete(Table::Cache, drill_key(id)));
        for version in &gone {
            writes.push(Write::delete(Table::Versions, version));
            writes.push(Write::delete(Table::Cache, scores_key(version)));
        }
        self.store.apply(&writes).await?;
        let head_moved = self.head != to;
        self.journal.push(entry);
        self.examples.remove(id);
        self.quarantine.remove(id);
        self.versions.retain(|id, _| !gone.contains(id));
        self.head = to.clone();
        self.collect_garbage().await?;
        Ok(DeleteReport { versions: gone.into_iter().collect(), head: to, head_moved })
    }

    /// The version of a name: its id, the beginning of exactly one id, or `base`.
    pub fn resolve(&self, name: &str) -> LearnResult<Option<String>> {
        if name == BASE {
            return Ok(None);
        }
        let mut fitting = self.versions.keys().filter(|id| id.starts_with(name));
        match (fitting.next(), fitting.next()) {
            (Some(id), None) if !name.is_empty() => Ok(Some(id.clone())),
            _ => Err(LearnError::NoVersion(name.into())),
        }
    }

    /// Reads HEAD; a damaged one gives way to its newest intact ancestor.
    pub(super) async fn recover_head(&mut self) -> LearnResult<()> {
        let Some(record) = self.store.get(Table::Refs, HEAD).await? else { return Ok(()) };
        let named = serde_json::from_slice::<HeadRecord>(&record).ok().map(|head| head.version);
        let Some(named) = named else {
            let newest = self.versions().last().map(|version| version.id.clone());
            return self.fall_back(newest, "the record of HEAD is damaged").await;
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
                let newest = self.versions().last().map(|version| version.id.clone());
                self.fall_back(newest, &format!("the record of HEAD {id} is damaged")).await
            }
        }
    }

    /// Deletes blobs that no version and no held candidate names, as a crash leaves them.
    pub(super) async fn collect_garbage(&self) -> LearnResult<()> {
        let mut named: HashSet<String> = self.versions.values().flat_map(Version::blobs).collect();
        named.extend(self.held().await?);
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

    /// The write that moves HEAD.
    pub(super) fn move_head(to: &Option<String>) -> Write {
        head_write(to)
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
        let (entry, line) = self.entry(Action::Fallback, to.clone(), note.clone(), None);
        self.store.apply(&[head_write(&to), line]).await?;
        self.journal.push(entry);
        self.head = to;
        self.warnings.push(note);
        Ok(())
    }

    /// Whether a version's adapter is intact (its record was checked when it was loaded). A store that cannot be
    /// read is an error, no damage.
    async fn is_whole(&self, version: &Version) -> LearnResult<bool> {
        match self.adapter_of(version).await {
            Ok(_) => Ok(true),
            Err(LearnError::Store(crate::store::StoreError::Damaged { .. }))
            | Err(LearnError::Adapter(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn head_write(to: &Option<String>) -> Write {
    Write::put(Table::Refs, HEAD, json(&HeadRecord { version: to.clone() }))
}
