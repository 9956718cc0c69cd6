//! Elastic weight consolidation across cycles: what HEAD's lessons need of its adapter, kept with the version.
//!
//! It knows no gradients: the student measures. Invariant: a version's record of importance was measured at that version's
//! own adapter, which is the anchor of the next cycle's penalty; where there is none of the asked form, it is measured anew.

use super::learner::{LearnResult, Learner};
use super::prepare::Material;
use super::recipe::{Ewc, Lesson};
use super::student::{Passage, Penalty, Student, TrainPlan};
use crate::model::adapter::Adapter;
use crate::store::Store;
use crate::train::{Form, Importance};

impl<S: Store> Learner<S> {
    /// The penalty of a cycle from HEAD, if the recipe has one: by HEAD's record, else by what the lessons that HEAD knows and
    /// the base's own answers to everyday prompts need.
    pub(super) async fn penalty(
        &self,
        student: &mut dyn Student,
        head: Option<&Adapter>,
        plan: &TrainPlan,
        ewc: &Ewc,
        material: &Material,
    ) -> LearnResult<Option<Penalty>> {
        let Some(form) = ewc.form else { return Ok(None) };
        let rank = head.map_or(plan.rank, |head| head.rank);
        let importance = match self.kept_importance(form, rank).await? {
            Some(kept) => kept,
            None => {
                let generic = material.generic.iter();
                let generic = generic.map(|own| Passage::Chat(own.messages.clone()));
                let known = passages(&material.earlier, ewc.texts / 2);
                let texts: Vec<Passage> = known.into_iter().chain(generic).collect();
                let texts = &texts[..texts.len().min(ewc.texts)];
                student.importance(head, plan, form, texts).await?
            }
        };
        Ok(Some(Penalty { importance, lambda: ewc.lambda }))
    }

    /// What a promoted candidate's lessons need, after what HEAD's did.
    pub(super) async fn consolidated(
        &self,
        student: &mut dyn Student,
        candidate: &Adapter,
        plan: &TrainPlan,
        ewc: &Ewc,
        new: &[Lesson],
    ) -> LearnResult<Option<Importance>> {
        let Some(Penalty { importance: old, .. }) = &plan.penalty else { return Ok(None) };
        let texts = passages(new, ewc.texts);
        let measured = student.importance(Some(candidate), plan, old.form, &texts).await?;
        Ok(Some(measured.after(old, ewc.gamma)))
    }

    /// HEAD's record, if it is whole and of this form and rank: it can be measured again.
    async fn kept_importance(&self, form: Form, rank: usize) -> LearnResult<Option<Importance>> {
        let Some(blob) = self.head().and_then(|version| version.importance.clone()) else {
            return Ok(None);
        };
        let kept = match self.store.get_blob(&blob).await? {
            Some(bytes) => Importance::from_bytes(&bytes).ok(),
            None => None,
        };
        Ok(kept.filter(|kept| (kept.form, kept.rank) == (form, rank)))
    }
}

fn passages(lessons: &[Lesson], most: usize) -> Vec<Passage> {
    lessons.iter().take(most.max(1)).map(|lesson| lesson.example.content.passage()).collect()
}
