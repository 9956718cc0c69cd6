//! Adapters in and out of the history: a version's own by its name, and somebody else's as a version.
//!
//! It knows no files: a face turns them into adapters and lessons. Invariants: an imported adapter becomes a version, never
//! HEAD (`adopt` lets the gate decide on that); lessons that come with it wait in quarantine, and replace nothing.

use super::audit::Line;
use super::drift::Drift;
use super::example::{Content, Example, Kind, NewExample};
use super::learner::{LearnError, LearnResult, Learner, Quarantined, json};
use super::replay::PRIORITY_MAX;
use super::report::Action;
use super::stats::EProcess;
use super::student::Student;
use super::version::Version;
use crate::format::skill::{Manifest, Skill};
use crate::model::adapter::Adapter;
use crate::store::{Store, StoreError, Table, Write};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most lessons that may come with an adapter.
const LESSONS_MAX: usize = 1000;

/// An adapter from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreign {
    /// The adapter, of this base model's shape.
    pub adapter: Adapter,
    /// Where it came from, for a person.
    pub origin: String,
    /// Whether it answers only near its lessons.
    pub scoped: bool,
    /// What it was taught, if that came along.
    pub lessons: Vec<NewExample>,
}

/// A lesson as a skill carries it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Carried {
    kind: Kind,
    content: Content,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rephrasings: Vec<String>,
}

impl Foreign {
    /// An adapter of which nothing else is known.
    pub fn bare(adapter: Adapter, origin: String) -> Foreign {
        Foreign { adapter, origin, scoped: false, lessons: Vec::new() }
    }

    /// What a skill holds; `signer` is the public key that signed it.
    pub fn from_skill(skill: &Skill, signer: &str) -> LearnResult<Foreign> {
        let Manifest { name, lessons, scoped, .. } = &skill.manifest;
        let origin = format!("the skill {name:?}, signed by {signer}");
        let lesson = |value: &serde_json::Value| {
            let carried: Carried = serde_json::from_value(value.clone())
                .map_err(|error| LearnError::Import(format!("{origin}: a lesson: {error}")))?;
            let Carried { kind, content, rephrasings } = carried;
            let source = format!("skill {name}");
            Ok(NewExample { kind, content, source, rejected: None, rephrasings })
        };
        let lessons = lessons.iter().map(lesson).collect::<LearnResult<Vec<NewExample>>>()?;
        let adapter = Adapter::from_bytes(&skill.adapter)?;
        Ok(Foreign { adapter, scoped: *scoped && !lessons.is_empty(), origin, lessons })
    }
}

impl<S: Store> Learner<S> {
    /// The adapter of a version (its id, the beginning of one, or `base`); none is the base model.
    pub async fn adapter_named(&self, name: &str) -> LearnResult<Option<Adapter>> {
        match self.resolve(name)? {
            Some(id) => Ok(Some(self.adapter_of(&self.versions[&id]).await?)),
            None => Ok(None),
        }
    }

    /// A version as a skill called `name`, with what it was taught or without; none is the base model.
    pub async fn skill(
        &self,
        version: &str,
        name: &str,
        with_lessons: bool,
    ) -> LearnResult<Option<Skill>> {
        let Some(id) = self.resolve(version)? else { return Ok(None) };
        let version = &self.versions[&id];
        let lessons = if with_lessons { self.lessons_of(version).await? } else { Vec::new() };
        let carried = lessons.into_iter().map(|lesson| {
            let Example { kind, content, rephrasings, .. } = lesson.example;
            serde_json::to_value(Carried { kind, content, rephrasings })
                .expect("a lesson is plain JSON")
        });
        let manifest = Manifest {
            name: name.into(),
            base_hash: version.base_hash.clone(),
            scoped: version.scoped && with_lessons,
            lessons: carried.collect(),
        };
        let bytes = self.store.get_blob(&version.adapter).await?;
        let adapter = bytes.ok_or_else(|| StoreError::Damaged { hash: version.adapter.clone() })?;
        Ok(Some(Skill { manifest, adapter }))
    }

    /// Puts an adapter into the history as a version without a parent; HEAD stays. Lessons that ask what the user has
    /// taught otherwise are left out. Returns its id.
    pub async fn import(
        &mut self,
        student: &mut dyn Student,
        foreign: Foreign,
    ) -> LearnResult<String> {
        let Foreign { adapter, origin, scoped, lessons } = foreign;
        if lessons.len() > LESSONS_MAX {
            let (n, text) = (lessons.len(), format!("may carry {LESSONS_MAX}"));
            return Err(LearnError::Import(format!("{origin}: it has {n} lessons and {text}")));
        }
        let now_ms = (self.clock)();
        let mut carried = BTreeMap::new();
        for lesson in lessons {
            lesson.check()?;
            let mut lesson = lesson.stored(now_ms, PRIORITY_MAX);
            lesson.since = self.chain.number;
            if self.has_room_for(&lesson) {
                carried.insert(lesson.id.clone(), lesson);
            }
        }
        let blob = self.store.put_blob(&adapter.to_bytes()).await?;
        let version = Version {
            id: String::new(),
            parent: None,
            merged: None,
            origin: Some(origin.clone()),
            depth: 1,
            adapter: blob,
            importance: None,
            base_hash: student.base_hash(),
            examples: carried.keys().cloned().collect(),
            // What it claims to know is not what it was seen to say.
            learned: Vec::new(),
            losses: None,
            suites: BTreeMap::new(),
            scoped,
            scale: 1.0,
            core: EProcess::default(),
            drifts: Drift::default(),
            created_ms: now_ms,
            note: origin.clone(),
        }
        .sealed();
        let id = version.id.clone();
        carried.retain(|id, _| !self.examples.contains_key(id));
        let reason = format!("came with {origin}");
        let held = Quarantined { since: self.chain.number, ..Quarantined::new(reason) };
        let mut writes = vec![Write::put(Table::Versions, &version.id, version.record())];
        for (id, lesson) in &carried {
            writes.push(Write::put(Table::Examples, id, json(lesson)));
            writes.push(Write::put(Table::Quarantine, id, json(&held)));
        }
        let line = Line::new(Action::Import, self.head.clone(), format!("imported version {id}"));
        self.commit(writes, line).await?;
        self.quarantine.extend(carried.keys().map(|id| (id.clone(), held.clone())));
        self.examples.extend(carried);
        self.versions.insert(id.clone(), version);
        Ok(id)
    }
}
