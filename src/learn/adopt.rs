//! Adoption: an adapter from outside beside HEAD's, if the gate agrees.
//!
//! Adapters that were trained apart share no factors, so their numbers cannot be merged (`model::ties`); their updates can
//! be added, side by side in one adapter of both ranks. The examination is a cycle's own: the lessons that came with the
//! adapter are what is taught, if any did; what HEAD learned is what must be kept. Invariants: this is the only way from
//! an imported version to HEAD; one that the gate does not let in stays in the history, and its lessons in quarantine.

use super::combine::Union;
use super::example::Example;
use super::learner::{LearnError, LearnResult, Learner, Quarantined};
use super::recipe::Lesson;
use super::report::{CycleReport, Event, LearnOptions};
use super::student::{Student, StudentError};
use super::version::{Version, learned};
use crate::model::adapter::Adapter;
use crate::store::Store;
use std::collections::BTreeMap;

impl<S: Store> Learner<S> {
    /// Examines an imported version beside HEAD, and makes both together HEAD if the gate agrees. The student serves HEAD
    /// on return.
    pub async fn adopt(
        &mut self,
        student: &mut dyn Student,
        version: &str,
        options: &LearnOptions,
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<CycleReport> {
        let id = self.resolve(version)?;
        let found = id.and_then(|id| self.versions.get(&id)).cloned();
        let Some(other) = found.filter(|version| version.origin.is_some()) else {
            let text = "it does not come from outside; check it out, or combine it";
            return Err(LearnError::Unmergeable(format!("{version}: {text}")));
        };
        let ancestry = self.versions.ancestry(self.head.as_deref());
        if ancestry.versions.iter().any(|version| version.id == other.id) {
            return Err(LearnError::Unmergeable(format!("{}: HEAD holds it already", other.id)));
        }
        self.check_base(student, self.head())?;
        self.check_base(student, Some(&other))?;
        let report = self.examine_beside(student, &other, options, events).await;
        self.serve(student, self.head()).await?;
        report
    }

    async fn examine_beside(
        &mut self,
        student: &mut dyn Student,
        other: &Version,
        options: &LearnOptions,
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<CycleReport> {
        let mut options = options.clone();
        let head = self.head_adapter().await?;
        let alone = self.adapter_of(other).await?;
        let [start, end] = match (&head, alone.method.is_sum()) {
            // DoRA and (IA)³ add up to nothing: they can take the place of the base model, whole.
            (None, false) => {
                options.scales = vec![1.0];
                [alone.clone(), alone]
            }
            _ => both(student, head.as_ref(), &alone)?,
        };
        let new = self.unknown_lessons(other).await?;
        if new.is_empty() {
            // A part of it that costs nothing may be worth nothing, which nobody could see.
            options.policy.unknown_lessons = true;
            options.scales = vec![1.0];
        }
        self.take_in(student, Union { other, start, end, new }, &options, events).await
    }

    /// The lessons that came with a version and that HEAD has not learned.
    async fn unknown_lessons(&self, other: &Version) -> LearnResult<Vec<Lesson>> {
        let known = learned(&self.versions, self.head.as_deref());
        let all = self.lessons_of(other).await?.into_iter();
        Ok(all.filter(|lesson| !known.contains_key(&lesson.example.id)).collect())
    }

    /// The quarantine's records of what a promotion has learned, which leaves it: from here on these lessons are the user's
    /// own. Only adopted lessons are learned from there.
    pub(super) fn freed(&self, learned: &[String]) -> BTreeMap<String, Quarantined> {
        let released_since = self.chain.number;
        let held = learned.iter().filter_map(|id| Some((id, self.quarantine.get(id)?)));
        let held = held.filter(|(_, held)| !held.released);
        let freed = held.map(|(id, held)| {
            (id.clone(), Quarantined { released: true, released_since, ..held.clone() })
        });
        freed.collect()
    }

    /// Whether an imported lesson may stand beside what is here: it replaces nothing that the user taught.
    pub(super) fn has_room_for(&self, lesson: &Example) -> bool {
        let prompt = lesson.content.prompt_key();
        let asks_the_same = |own: &Example| prompt.is_some() && own.content.prompt_key() == prompt;
        !self.examples.values().any(|own| own.id != lesson.id && asks_the_same(own))
    }
}

/// HEAD alone and HEAD with the other, as adapters of one shape.
fn both(
    student: &dyn Student,
    head: Option<&Adapter>,
    other: &Adapter,
) -> Result<[Adapter; 2], StudentError> {
    let at = |share: f32| {
        let head = head.map(|head| (head.clone(), 1.0));
        let parts: Vec<(Adapter, f32)> = head.into_iter().chain([(other.clone(), share)]).collect();
        student.side_by_side(&parts)
    };
    Ok([at(0.0)?, at(1.0)?])
}
