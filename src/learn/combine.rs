//! Merging: another version's lessons into HEAD, through the gate.
//!
//! The adapters are merged in `model::ties`, from their newest common ancestor on. The examination is a cycle's own: what
//! the other version learned and HEAD did not is what is taught, what HEAD learned is what must be kept. It trains
//! nothing. Invariant: a merge that the gate does not promote leaves HEAD as it was; what it would have taught waits.

use super::cycle::Made;
use super::exam::Way;
use super::example::Example;
use super::learner::{LearnError, LearnResult, Learner};
use super::recipe::Lesson;
use super::report::{CycleReport, Event, LearnOptions, Phase};
use super::scope::Scope;
use super::student::Student;
use super::version::{Version, learned};
use crate::model::adapter::Adapter;
use crate::model::ties::{Merging, merge};
use crate::store::Store;
use std::collections::BTreeSet;

/// HEAD and another version as one adapter, to be examined.
pub(super) struct Union<'a> {
    pub other: &'a Version,
    /// HEAD alone.
    pub start: Adapter,
    /// Both.
    pub end: Adapter,
    /// What the other version learned and HEAD did not.
    pub new: Vec<Lesson>,
}

impl<S: Store> Learner<S> {
    /// Merges a version into HEAD. The student serves HEAD on return.
    pub async fn merge(
        &mut self,
        student: &mut dyn Student,
        (other, how): (&str, Merging),
        options: &LearnOptions,
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<CycleReport> {
        let other = self.resolve(other)?;
        let other = other.and_then(|id| self.versions.get(&id).cloned());
        let (Some(head), Some(other)) = (self.head().cloned(), other) else {
            return Err(LearnError::Unmergeable("the base model is no side of a merge".into()));
        };
        self.check_base(student, Some(&head))?;
        self.check_base(student, Some(&other))?;
        let report = self.combine(student, (&head, &other, how), options, events).await;
        self.serve(student, self.head()).await?;
        report
    }

    async fn combine(
        &mut self,
        student: &mut dyn Student,
        (head, other, how): (&Version, &Version, Merging),
        options: &LearnOptions,
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<CycleReport> {
        let ancestor = self.common_ancestor(head, other)?;
        let start = self.adapter_of(head).await?;
        let sides = [&start, &self.adapter_of(other).await?];
        let end = merge(&self.adapter_of(&ancestor).await?, sides, how).ok_or_else(|| {
            let text = "their adapters differ in method, rank or alpha";
            LearnError::Unmergeable(format!("{} and {}: {text}", head.id, other.id))
        })?;
        let new = self.only_in(other, head).await?;
        let union = Union { other, start, end, new };
        self.take_in(student, union, options, events).await
    }

    /// Examines HEAD together with another version, and makes it HEAD if the gate agrees.
    pub(super) async fn take_in(
        &mut self,
        student: &mut dyn Student,
        Union { other, start, end, new }: Union<'_>,
        options: &LearnOptions,
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<CycleReport> {
        let began_ms = (self.clock)();
        let head = self.head().cloned();
        events(Event::phase(Phase::Evaluate, "examining the model as it is"));
        student.use_adapter(None, Scope::everything()).await?;
        let everyday = self.everyday(student).await?;
        let scope = match other.scoped && head.as_ref().is_none_or(|head| head.scoped) {
            true => {
                let mut known = self.lessons_of(other).await?;
                if let Some(head) = &head {
                    known.extend(self.lessons_of(head).await?);
                }
                Scope::new(known.iter().map(Lesson::about))
            }
            false => Scope::everything(),
        };
        self.serve(student, head.as_ref()).await?;
        let taught: Vec<&Example> = new.iter().map(|lesson| &lesson.example).collect();
        let mut exam = self.exam(&taught, &everyday, (options.sample, options.kept), &scope);
        self.score_version(student, &mut exam, head.as_ref(), events).await?;
        if head.is_some() {
            self.score_base(student, &mut exam, &scope, events).await?;
        }
        events(Event::phase(Phase::Evaluate, "examining both together"));
        let way = Way { start: &start, end: &end, scales: &options.scales, scope };
        let drift = head.as_ref().map(Version::drift).unwrap_or_default();
        let examined = exam.ladder(student, &way, (&options.policy, &drift), events).await?;
        let report = self.report((&new, &[]), (0.0, 0.0), &examined, began_ms);
        let made = Made { new: &new, replayed: &[], importance: None, merged: Some(other) };
        self.conclude((student.base_hash(), options), made, examined, report, events).await
    }

    /// The newest version that both descend from, if its adapter is kept. Neither may descend from the other.
    fn common_ancestor(&self, head: &Version, other: &Version) -> LearnResult<Version> {
        let [one, two] = [head, other].map(|side| {
            let versions = self.versions.ancestry(Some(&side.id)).versions;
            versions.into_iter().map(|version| version.id.as_str()).collect::<BTreeSet<&str>>()
        });
        let refused = |text: &str| {
            Err(LearnError::Unmergeable(format!("{} and {}: {text}", head.id, other.id)))
        };
        if one.contains(other.id.as_str()) {
            return refused("HEAD holds all of it already");
        }
        if two.contains(head.id.as_str()) {
            return refused("it holds all of HEAD; check it out instead");
        }
        let both = one.intersection(&two).filter_map(|id| self.versions.get(*id));
        match both.max_by_key(|version| (version.depth, version.id.clone())) {
            Some(ancestor) => Ok(ancestor.clone()),
            None => {
                refused("no common ancestor is kept, and factors trained apart are not aligned")
            }
        }
    }

    /// The lessons that one version learned and another did not, the oldest first.
    async fn only_in(&self, one: &Version, other: &Version) -> LearnResult<Vec<Lesson>> {
        let (learned, known) =
            (learned(&self.versions, Some(&one.id)), learned(&self.versions, Some(&other.id)));
        let only = |example: &&Example| {
            learned.contains_key(&example.id) && !known.contains_key(&example.id)
        };
        let mut lessons = Vec::new();
        for example in self.examples().into_iter().filter(only) {
            let drill = self.kept_drill(&example.id, &one.base_hash).await?.unwrap_or_default();
            lessons.push(Lesson { example: example.clone(), drill });
        }
        Ok(lessons)
    }
}
