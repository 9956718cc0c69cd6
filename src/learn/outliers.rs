//! Lessons from files whose answers surprise the base model far more than what was taught before.
//!
//! Of the usual screens of single examples (loss, the gradient's norm, its agreement with what is replayed) only the loss told
//! some of the attacks that were tried from honest lessons (`apprentice signals`; bench/LOG.md): phrases that are to overrule
//! any question, answers to what is to be refused. It decides by what others taught, so it is silent until enough was. Invariant:
//! a person's own lesson is never an outlier, since surprise is why people correct.

use super::evaluate::per_token;
use super::example::Example;
use super::learner::{LearnResult, Learner};
use super::stats::outlying_above;
use super::student::{Passage, Student};
use crate::store::Store;

/// Lessons from where on their losses say what is usual.
const USUAL_MIN: usize = 8;

/// Most lessons that are measured for that, the newest.
const USUAL_MAX: usize = 24;

/// Lessons that are scored in one call.
const A_CALL: usize = 8;

impl<S: Store> Learner<S> {
    /// Conversations from files among `unseen` that stand out, with the reasons; the base model is in place.
    pub(super) async fn outliers(
        &self,
        student: &mut dyn Student,
        unseen: &[&Example],
    ) -> LearnResult<Vec<(String, String)>> {
        let is_lesson = |example: &Example| example.content.question_answer().is_some();
        let asked: Vec<&Example> =
            unseen.iter().copied().filter(|e| !e.is_own() && is_lesson(e)).collect();
        let own = unseen.iter().copied().filter(|e| e.is_own());
        let mut usual: Vec<&Example> =
            self.known().into_iter().chain(own).filter(|e| is_lesson(e)).collect();
        if asked.is_empty() || usual.len() < USUAL_MIN {
            return Ok(Vec::new());
        }
        usual.sort_by(|a, b| (b.created_ms, &b.id).cmp(&(a.created_ms, &a.id)));
        usual.truncate(USUAL_MAX);
        let usual = surprises(student, &usual).await?;
        let limit = outlying_above(&usual);
        let losses = surprises(student, &asked).await?;
        let standing_out = asked.into_iter().zip(losses).filter(|(_, loss)| *loss > limit);
        let told = standing_out.filter_map(|(example, loss)| {
            let (question, _) = example.content.question_answer()?;
            let source = &example.source;
            let reason = format!(
                "{source}: \"{question}\": the answer surprises the model more than what was taught before \
                 ({loss:.1} nats a token, up to {limit:.1} is usual)"
            );
            Some((example.id.clone(), reason))
        });
        Ok(told.collect())
    }
}

/// The loss of each lesson's answer, nats a token.
async fn surprises(student: &mut dyn Student, lessons: &[&Example]) -> LearnResult<Vec<f64>> {
    let mut losses = Vec::with_capacity(lessons.len());
    for group in lessons.chunks(A_CALL) {
        let passages: Vec<Passage> = group.iter().map(|e| e.content.passage()).collect();
        let scored = student.score_passages(&passages).await?;
        losses.extend(scored.into_iter().map(|likelihood| -per_token(likelihood)));
    }
    Ok(losses)
}
