//! A student that looks up from its books: between the steps of a cycle it answers what a person asks meanwhile.
//!
//! It hands every call on to the engine. Before each it takes what is being trained out whole, lets the version that the
//! cycle started from answer, and puts it back. Invariant: a cycle's result is the same, bit for bit, whether questions came
//! or not.

use super::answer::{Answer, Asked, answer};
use super::desk::Desk;
use crate::error::Error;
use crate::format::message::Message;
use crate::learn::engine::Engine;
use crate::learn::scope::Scope;
use crate::learn::student::{
    AnswerOptions, Likelihood, Passage, Question, Reply, Snapshot, StepReport, Student,
    StudentResult, TrainItem, TrainPlan,
};
use crate::model::adapter::Adapter;
use crate::train::{Form, Importance};

/// The engine during a cycle.
pub struct Attentive<'a> {
    engine: &'a mut Engine,
    desk: &'a Desk,
    /// What answers: the first adapter that was put in place, with its scope.
    serving: Option<(Option<Adapter>, Scope)>,
}

impl<'a> Attentive<'a> {
    /// An engine that serves a desk; what is put in place first answers there.
    pub fn new(engine: &'a mut Engine, desk: &'a Desk) -> Self {
        Self { engine, desk, serving: None }
    }

    /// Answers whatever waits.
    async fn attend(&mut self) {
        let Some(mut waiting) = self.desk.next() else { return };
        let trained = self.engine.model.replace_lora(None);
        loop {
            let told = self.answer(waiting.asked).await;
            // Whoever asked may be gone.
            waiting.reply.send(told).ok();
            match self.desk.next() {
                Some(next) => waiting = next,
                None => break,
            }
        }
        self.engine.model.replace_lora(trained);
    }

    async fn answer(&mut self, mut asked: Asked) -> Result<Answer, Error> {
        let adapter = match (asked.version.as_deref(), &self.serving) {
            (None, Some((adapter, scope))) if scope.covers(&asked.messages) => adapter.as_ref(),
            (None | Some("base"), _) => None,
            (Some(_), _) => {
                let text = "while learning is under way only HEAD and the base model answer";
                return Err(Error::Misuse(text.into()));
            }
        };
        self.engine.model.set_adapter(adapter)?;
        answer(self.engine, &mut asked).await
    }
}

#[async_trait::async_trait(?Send)]
impl Student for Attentive<'_> {
    fn base_hash(&self) -> String {
        self.engine.base_hash()
    }

    async fn use_adapter(&mut self, adapter: Option<&Adapter>, scope: Scope) -> StudentResult<()> {
        self.attend().await;
        self.serving.get_or_insert_with(|| (adapter.cloned(), scope.clone()));
        self.engine.use_adapter(adapter, scope).await
    }

    async fn replies(
        &mut self,
        conversations: &[(Vec<Message>, AnswerOptions)],
    ) -> StudentResult<Vec<Reply>> {
        self.attend().await;
        self.engine.replies(conversations).await
    }

    async fn continuations(
        &mut self,
        texts: &[(String, AnswerOptions)],
    ) -> StudentResult<Vec<String>> {
        self.attend().await;
        self.engine.continuations(texts).await
    }

    async fn near_words(&mut self, words: &[String]) -> StudentResult<Vec<Vec<(String, f32)>>> {
        self.attend().await;
        self.engine.near_words(words).await
    }

    async fn score_choices(
        &mut self,
        questions: &[Question],
    ) -> StudentResult<Vec<Vec<Likelihood>>> {
        self.attend().await;
        self.engine.score_choices(questions).await
    }

    async fn score_passages(&mut self, passages: &[Passage]) -> StudentResult<Vec<Likelihood>> {
        self.attend().await;
        self.engine.score_passages(passages).await
    }

    async fn begin_training(
        &mut self,
        start: Option<&Adapter>,
        plan: &TrainPlan,
    ) -> StudentResult<()> {
        self.attend().await;
        self.engine.begin_training(start, plan).await
    }

    async fn importance(
        &mut self,
        start: Option<&Adapter>,
        plan: &TrainPlan,
        form: Form,
        passages: &[Passage],
    ) -> StudentResult<Importance> {
        self.attend().await;
        self.engine.importance(start, plan, form, passages).await
    }

    async fn train_step(&mut self, batch: &[TrainItem]) -> StudentResult<StepReport> {
        self.attend().await;
        self.engine.train_step(batch).await
    }

    // Nobody is answered in between: what a checkpoint costs is measured.
    async fn snapshot(&mut self) -> StudentResult<Snapshot> {
        self.engine.snapshot().await
    }

    async fn restore(&mut self, snapshot: &Snapshot, steps: usize) -> StudentResult<()> {
        self.engine.restore(snapshot, steps).await
    }

    fn side_by_side(&self, parts: &[(Adapter, f32)]) -> StudentResult<Adapter> {
        self.engine.side_by_side(parts)
    }

    async fn adapter(&mut self) -> StudentResult<Option<Adapter>> {
        self.attend().await;
        self.engine.adapter().await
    }
}
