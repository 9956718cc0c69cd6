//! Adapters in and out of the history, by a version's name.
//!
//! It knows no files: a face turns them into adapters. Invariant: an imported adapter becomes a version, never HEAD;
//! a person moves HEAD to it.

use super::audit::Line;
use super::learner::{LearnResult, Learner};
use super::report::Action;
use super::stats::EProcess;
use super::student::Student;
use super::version::Version;
use crate::model::adapter::Adapter;
use crate::store::{Store, Table, Write};
use std::collections::BTreeMap;

impl<S: Store> Learner<S> {
    /// The adapter of a version (its id, the beginning of one, or `base`); none is the base model.
    pub async fn adapter_named(&self, name: &str) -> LearnResult<Option<Adapter>> {
        match self.resolve(name)? {
            Some(id) => Ok(Some(self.adapter_of(&self.versions[&id]).await?)),
            None => Ok(None),
        }
    }

    /// Puts an adapter into the history as a version without a parent; HEAD stays. Returns its id.
    pub async fn import(
        &mut self,
        student: &mut dyn Student,
        adapter: Adapter,
        note: String,
    ) -> LearnResult<String> {
        let blob = self.store.put_blob(&adapter.to_bytes()).await?;
        let version = Version {
            id: String::new(),
            parent: None,
            merged: None,
            depth: 1,
            adapter: blob,
            importance: None,
            base_hash: student.base_hash(),
            examples: Vec::new(),
            learned: Vec::new(),
            losses: None,
            suites: BTreeMap::new(),
            scoped: false,
            scale: 1.0,
            drift: EProcess::default(),
            created_ms: (self.clock)(),
            note,
        }
        .sealed();
        let id = version.id.clone();
        let line = Line::new(Action::Import, self.head.clone(), format!("imported version {id}"));
        let record = Write::put(Table::Versions, &version.id, version.record());
        self.commit(vec![record], line).await?;
        self.versions.insert(id.clone(), version);
        Ok(id)
    }
}
