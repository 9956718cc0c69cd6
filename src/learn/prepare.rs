//! What comes before the training: which examples take part, which look harmful, and the drills of each lesson.
//!
//! It knows no gate. Invariant: an example that looks like noise or contradicts core knowledge is set aside with a
//! reason that the user can read and overrule; it is never dropped in silence.

use super::evaluate::Scores;
use super::everyday::{self, Told};
use super::example::Example;
use super::keys::{base_key, drill_key, everyday_key, scores_key};
use super::learner::{LearnResult, Learner, Quarantined, json};
use super::recipe::{Drill, Lesson, OwnAnswer, drill, generic};
use super::report::{Event, LearnOptions, Phase};
use super::scope::Scope;
use super::student::Student;
use super::version::learned;
use crate::store::{Store, Table, Write};
use serde::de::DeserializeOwned;
use std::collections::HashSet;

/// Most earlier lessons that one cycle examines.
pub const REGRESSIONS_MAX: usize = 256;

/// Earlier lessons that one cycle drills again, however few are new.
const REPAIRS_MIN: usize = 8;

/// What a cycle trains on.
#[derive(Debug, Default)]
pub(super) struct Material {
    /// New lessons.
    pub new: Vec<Lesson>,
    /// Earlier ones, for replay.
    pub earlier: Vec<Lesson>,
    /// Those of the earlier ones that HEAD was found not to say any more: drilled again like new ones.
    pub again: Vec<Lesson>,
    /// The depth of the version that it makes.
    pub cycle: u64,
    /// The base's own answers to everyday prompts, to be rehearsed.
    pub generic: Vec<OwnAnswer>,
    /// The same to prompts that are never rehearsed, to be examined.
    pub everyday: Vec<Told>,
    /// What was set aside now, with the reasons.
    pub set_aside: Vec<String>,
    /// What a person should see though it was believed.
    pub notes: Vec<String>,
}

impl Material {
    /// What a run drills until it is said.
    pub fn drilled(&self) -> Vec<Lesson> {
        self.new.iter().chain(&self.again).cloned().collect()
    }

    /// Takes up earlier lessons that HEAD does not say any more, by their ids: as many as are new, and a few at least.
    pub fn repair(&mut self, lost: &HashSet<&str>) {
        self.drill_again(lost, self.new.len().max(REPAIRS_MIN));
    }

    /// Drills these earlier lessons beside the new ones, `most` at most.
    pub fn drill_again(&mut self, lost: &HashSet<&str>, most: usize) {
        let lost = self.earlier.iter().filter(|lesson| lost.contains(lesson.example.id.as_str()));
        self.again = lost.take(most).cloned().collect();
    }
}

impl<S: Store> Learner<S> {
    /// Chooses the examples, sets the harmful ones aside, makes the drills. The base model is in place after it.
    pub(super) async fn prepare(
        &mut self,
        student: &mut dyn Student,
        options: &LearnOptions,
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<Material> {
        student.use_adapter(None, Scope::everything()).await?;
        let mut pending: Vec<Example> = self.pending().into_iter().cloned().collect();
        pending.truncate(options.lessons_max);
        let mut material = Material::default();
        if options.screen {
            let screened = self.screen(student, &pending).await?;
            material.notes.extend(screened.believed);
            material.set_aside = self.set_aside(screened.harmful, events).await?;
            pending.retain(|example| self.is_free(&example.id));
        }
        if pending.is_empty() {
            return Ok(material);
        }
        let total = pending.len();
        for (done, example) in pending.into_iter().enumerate() {
            let drill = self.drill_of(student, &example, options).await?;
            material.new.push(Lesson { example, drill });
            events(Event::Phase {
                phase: Phase::Prepare,
                done: Some(done + 1),
                total: Some(total),
                detail: Some("neighbours and other wordings of each lesson".into()),
            });
        }
        if options.screen {
            let contradicted = self.contradictions(student, &material.new).await?;
            material.set_aside.extend(self.set_aside(contradicted, events).await?);
            material.new.retain(|lesson| self.is_free(&lesson.example.id));
        }
        if material.new.is_empty() {
            return Ok(material);
        }
        material.cycle = self.cycle();
        for example in self.replayable() {
            // Kept, but for lessons that came from outside or that forgetting brought back.
            let drill = self.drill_of(student, &example, options).await?;
            material.earlier.push(Lesson { example, drill });
        }
        material.generic = self.generic(student).await?;
        material.everyday = self.everyday(student).await?;
        Ok(material)
    }

    /// Keeps examples out of training until a person says that they are fine; gives the reasons.
    pub(super) async fn set_aside(
        &mut self,
        found: Vec<(String, String)>,
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<Vec<String>> {
        let mut reasons = Vec::with_capacity(found.len());
        for (example, reason) in found {
            let since = self.chain.number;
            let held = Quarantined { since, ..Quarantined::new(reason.clone()) };
            self.store.apply(&[Write::put(Table::Quarantine, &example, json(&held))]).await?;
            self.quarantine.insert(example, held);
            events(Event::Warning { message: reason.clone() });
            reasons.push(reason);
        }
        Ok(reasons)
    }

    /// The depth of the version that a cycle from HEAD makes. Cycles are counted along the line, so that what left no
    /// version leaves no trace.
    pub(super) fn cycle(&self) -> u64 {
        self.versions.depth(self.head.as_deref()) + 1
    }

    /// The examples of the buffer that HEAD has learned.
    fn replayable(&self) -> Vec<Example> {
        self.known().into_iter().filter(|example| !example.retired).cloned().collect()
    }

    /// The examples that a cycle examines HEAD and candidate on, since HEAD has learned them: up to `REGRESSIONS_MAX`, those
    /// whose loss was not measured for longest first, so that each has its turn whatever its loss is.
    pub(super) fn regressions(&self) -> Vec<Example> {
        let mut known = self.known();
        known.sort_by(|a, b| (a.measured, &a.id).cmp(&(b.measured, &b.id)));
        known.truncate(REGRESSIONS_MAX);
        known.into_iter().cloned().collect()
    }

    pub(super) fn known(&self) -> Vec<&Example> {
        let at = learned(&self.versions, self.head.as_deref());
        let knows = |e: &&Example| at.get(&e.id).is_some_and(|at| *at >= e.created_ms);
        self.examples.values().filter(knows).filter(|e| self.is_free(&e.id)).collect()
    }

    /// The scores that are stored under a version's id, or under the base model's key.
    pub(super) async fn scores(&self, key: &str) -> LearnResult<Scores> {
        let record = self.store.get(Table::Cache, &scores_key(key)).await?;
        // A cache: what cannot be read is computed again.
        Ok(record.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    async fn drill_of(
        &self,
        student: &mut dyn Student,
        example: &Example,
        options: &LearnOptions,
    ) -> LearnResult<Drill> {
        if let Some(kept) = self.kept_drill(&example.id, &student.base_hash()).await? {
            return Ok(kept);
        }
        let made = drill(student, example, &options.recipe, self.seed).await?;
        self.store.apply(&[Write::put(Table::Cache, drill_key(&example.id), json(&made))]).await?;
        Ok(made)
    }

    pub(super) async fn kept_drill(&self, id: &str, base_hash: &str) -> LearnResult<Option<Drill>> {
        let record = self.store.get(Table::Cache, &drill_key(id)).await?;
        let kept: Option<Drill> = record.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(kept.filter(|drill| drill.base_hash == base_hash))
    }

    async fn generic(&self, student: &mut dyn Student) -> LearnResult<Vec<OwnAnswer>> {
        let key = drill_key(&base_key(&student.base_hash()));
        if let Some(kept) = self.own_answers(&key).await? {
            return Ok(kept);
        }
        let made = generic::own_answers(student).await?;
        self.store.apply(&[Write::put(Table::Cache, key, json(&made))]).await?;
        Ok(made)
    }

    /// The base's own answers to the everyday prompts of the examination; the base must be in place.
    pub(super) async fn everyday(&self, student: &mut dyn Student) -> LearnResult<Vec<Told>> {
        let key = everyday_key(&student.base_hash());
        if let Some(kept) = self.own_answers(&key).await? {
            return Ok(kept);
        }
        let made = everyday::own_answers(student).await?;
        self.store.apply(&[Write::put(Table::Cache, key, json(&made))]).await?;
        Ok(made)
    }

    async fn own_answers<T: DeserializeOwned>(&self, key: &str) -> LearnResult<Option<Vec<T>>> {
        let record = self.store.get(Table::Cache, key).await?;
        Ok(record.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }
}
