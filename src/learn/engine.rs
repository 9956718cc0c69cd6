//! The real student: a model on a device and its trainer, behind what the learning loop asks.
//!
//! It turns conversations into tokens and batches into packs; it decides nothing. Invariant: a training run ends
//! when another adapter is put in place, and the model always serves what was put last.

mod batches;
mod place;

use super::scope::Scope;
use super::student::{
    AnswerOptions, Likelihood, Passage, Penalty, Question, Reply, Snapshot, StepReport, Student,
    StudentError, StudentResult, TrainItem, TrainPlan,
};
use crate::format::chat::LearnedTurns;
use crate::format::message::Message;
use crate::model::adapter::Adapter;
use crate::model::batch::Job;
use crate::model::generate::{Cancel, Generation, StopReason};
use crate::model::lora::{Lora, LoraLayout};
use crate::model::sampler::Sampling;
use crate::model::score::{LogLikelihood, Scored};
use crate::model::stack::side_by_side;
use crate::model::{Model, ModelError};
use crate::train::{Form, Guards, Importance, Schedule, TrainError, Trainer};
use std::collections::HashMap;

/// A model that learns.
pub struct Engine {
    /// The model.
    pub model: Model,
    /// Stops whatever runs.
    pub cancel: Cancel,
    run: Option<Run>,
    /// Where the adapter answers.
    scope: Scope,
    /// The adapter, while the base model answers in its place.
    aside: Option<Lora>,
    /// The base's normed hidden rows at a sequence's targets, by its tokens and targets: made once, since the base never changes.
    teachers: HashMap<Scored, Vec<f32>>,
}

/// A training run.
struct Run {
    trainer: Trainer,
    schedule: Schedule,
    clip: f32,
}

impl From<ModelError> for StudentError {
    fn from(error: ModelError) -> Self {
        StudentError::Failed(error.to_string())
    }
}

impl From<TrainError> for StudentError {
    fn from(error: TrainError) -> Self {
        StudentError::Failed(error.to_string())
    }
}

impl From<LogLikelihood> for Likelihood {
    fn from(from: LogLikelihood) -> Self {
        Likelihood { log_prob: from.sum, tokens: from.tokens }
    }
}

impl Engine {
    /// An engine over a loaded model.
    pub fn new(model: Model) -> Engine {
        let (cancel, scope) = (Cancel::default(), Scope::everything());
        Engine { model, cancel, run: None, scope, aside: None, teachers: HashMap::new() }
    }

    /// The tokens of a conversation, ready for the assistant's turn.
    pub fn prompt(&self, messages: &[Message]) -> Result<Vec<u32>, ModelError> {
        Ok(self.model.template.encode_prompt(&self.model.tokenizer, messages)?)
    }

    /// A passage's tokens, and which of them count.
    pub fn scored(&self, passage: &Passage) -> Result<Scored, ModelError> {
        let (tokens, counted) = match passage {
            Passage::Chat(messages) => {
                let model = &self.model;
                model.template.encode_for_training(
                    &model.tokenizer,
                    messages,
                    LearnedTurns::Last,
                )?
            }
            Passage::Text(text) => {
                let tokens = self.model.tokenizer.encode_whole(text, false);
                let counted = vec![true; tokens.len()];
                (tokens, counted)
            }
        };
        Ok(Scored { tokens, counted }.fit(self.model.pass_rows()))
    }

    /// Goes on with plain texts, each until `enough` says so of what was written.
    pub async fn go_on(
        &mut self,
        texts: &[(String, AnswerOptions)],
        enough: fn(&str) -> bool,
    ) -> StudentResult<Vec<String>> {
        let near = texts.iter().map(|(text, _)| self.scope.covers_text(text));
        let mut written = vec![String::new(); texts.len()];
        for (side, which) in sides(near) {
            let jobs = which.iter().map(|&at| {
                let (text, options) = &texts[at];
                job(self.model.tokenizer.encode_whole(text, false), options)
            });
            let jobs: Vec<Job> = jobs.collect();
            self.place(side);
            for (at, reply) in which.into_iter().zip(self.write(&jobs, enough).await?) {
                written[at] = reply.text;
            }
        }
        self.place(true);
        Ok(written)
    }

    fn check_cancel(&self) -> StudentResult<()> {
        if self.cancel.raised() { Err(StudentError::Cancelled) } else { Ok(()) }
    }

    /// Writes all jobs, each until `enough` says so of its text.
    async fn write(&mut self, jobs: &[Job], enough: fn(&str) -> bool) -> StudentResult<Vec<Reply>> {
        self.check_cancel()?;
        let cancel = self.cancel.clone();
        let written = self.model.generate_batch(jobs, &cancel, &enough).await?;
        self.check_cancel()?;
        let reply = |written: Generation| Reply {
            ended: written.stop_reason == StopReason::Stop,
            text: written.text,
        };
        Ok(written.into_iter().map(reply).collect())
    }

    /// Puts the adapter that a run starts from in place, for every prompt.
    async fn start(
        &mut self,
        start: Option<&Adapter>,
        plan: &TrainPlan,
    ) -> StudentResult<LoraLayout> {
        let adapter = match start {
            Some(adapter) => adapter.clone(),
            None => self.model.fresh_adapter(plan.method, plan.rank, plan.alpha, plan.seed).await?,
        };
        let layout = LoraLayout::of(&self.model.config, &adapter);
        self.use_adapter(Some(&adapter), Scope::everything()).await?;
        Ok(layout)
    }
}

/// Which of some conversations the adapter answers and which the base model, each side that has any.
fn sides(near: impl Iterator<Item = bool>) -> Vec<(bool, Vec<usize>)> {
    let near: Vec<bool> = near.collect();
    let side = |side| (side, (0..near.len()).filter(|&at| near[at] == side).collect());
    let sides: [(bool, Vec<usize>); 2] = [side(true), side(false)];
    sides.into_iter().filter(|(_, which)| !which.is_empty()).collect()
}

fn job(prompt: Vec<u32>, options: &AnswerOptions) -> Job {
    let AnswerOptions { tokens_max, temperature, seed } = *options;
    Job { prompt, tokens_max, sampling: Sampling { temperature, seed, ..Sampling::default() } }
}

#[async_trait::async_trait(?Send)]
impl Student for Engine {
    fn base_hash(&self) -> String {
        self.model.base_hash.clone()
    }

    async fn use_adapter(&mut self, adapter: Option<&Adapter>, scope: Scope) -> StudentResult<()> {
        self.place(true);
        self.run = None;
        self.scope = scope;
        self.model.set_adapter(adapter)?;
        Ok(())
    }

    async fn replies(
        &mut self,
        conversations: &[(Vec<Message>, AnswerOptions)],
    ) -> StudentResult<Vec<Reply>> {
        let near = conversations.iter().map(|(messages, _)| self.scope.covers(messages));
        let mut replies = vec![Reply::default(); conversations.len()];
        for (side, which) in sides(near) {
            let jobs = which.iter().map(|&at| {
                let (messages, options) = &conversations[at];
                Ok(job(self.prompt(messages)?, options))
            });
            let jobs: Vec<Job> = jobs.collect::<Result<_, ModelError>>()?;
            self.place(side);
            for (at, Reply { text, ended }) in
                which.into_iter().zip(self.write(&jobs, |_| false).await?)
            {
                replies[at] = Reply { text: text.trim().to_string(), ended };
            }
        }
        self.place(true);
        Ok(replies)
    }

    async fn continuations(
        &mut self,
        texts: &[(String, AnswerOptions)],
    ) -> StudentResult<Vec<String>> {
        const END: &str = "\n\n";
        let mut written = self.go_on(texts, |text| text.contains(END)).await?;
        for text in &mut written {
            text.truncate(text.find(END).unwrap_or(text.len()));
        }
        Ok(written)
    }

    async fn near_words(&mut self, words: &[String]) -> StudentResult<Vec<Vec<(String, f32)>>> {
        let mut near = Vec::with_capacity(words.len());
        for word in words {
            near.push(self.model.near_words(word).await?);
        }
        Ok(near)
    }

    async fn score_choices(
        &mut self,
        questions: &[Question],
    ) -> StudentResult<Vec<Vec<Likelihood>>> {
        self.check_cancel()?;
        let near = questions.iter().map(|question| self.scope.covers(&question.messages));
        let mut scores = vec![Vec::new(); questions.len()];
        for (side, which) in sides(near) {
            let mut encoded = Vec::with_capacity(which.len());
            for &at in &which {
                // A choice goes on after the prompt.
                let tokenizer = &self.model.tokenizer;
                let choices = questions[at].choices.iter();
                let choices = choices.map(|choice| tokenizer.encode_rest(choice, false));
                encoded.push((self.prompt(&questions[at].messages)?, choices.collect()));
            }
            self.place(side);
            let mut scored = self.model.score_choices(&encoded).await?.into_iter();
            for at in which {
                let n = questions[at].choices.len();
                scores[at] = scored.by_ref().take(n).map(Likelihood::from).collect();
            }
        }
        self.place(true);
        Ok(scores)
    }

    async fn score_passages(&mut self, passages: &[Passage]) -> StudentResult<Vec<Likelihood>> {
        self.check_cancel()?;
        let near = passages.iter().map(|passage| match passage {
            Passage::Chat(messages) => self.scope.covers(messages),
            Passage::Text(text) => self.scope.covers_text(text),
        });
        let mut scores = vec![Likelihood { log_prob: 0.0, tokens: 0 }; passages.len()];
        for (side, which) in sides(near) {
            let scored = which.iter().map(|&at| self.scored(&passages[at]));
            let scored: Vec<Scored> = scored.collect::<Result<_, ModelError>>()?;
            self.place(side);
            for (at, score) in which.into_iter().zip(self.model.score(&scored).await?) {
                scores[at] = score.into();
            }
        }
        self.place(true);
        Ok(scores)
    }

    async fn begin_training(
        &mut self,
        start: Option<&Adapter>,
        plan: &TrainPlan,
    ) -> StudentResult<()> {
        let layout = self.start(start, plan).await?;
        let ewc = plan.penalty.as_ref().map(|penalty| penalty.importance.form);
        let guards = Guards { surgery: plan.surgery, ewc };
        let rows = self.model.pass_rows();
        let mut trainer = Trainer::guarded(&self.model, &layout, rows, guards)?;
        trainer.set_b_ratio(plan.b_ratio);
        if let Some(Penalty { importance, lambda }) = &plan.penalty {
            trainer.hold(&self.model, importance, *lambda)?;
        }
        let schedule = Schedule { peak: plan.lr, warmup: plan.warmup, steps: plan.steps };
        self.run = Some(Run { trainer, schedule, clip: plan.clip });
        Ok(())
    }

    async fn importance(
        &mut self,
        start: Option<&Adapter>,
        plan: &TrainPlan,
        form: Form,
        passages: &[Passage],
    ) -> StudentResult<Importance> {
        let layout = self.start(start, plan).await?;
        let texts = self.draws(passages, plan.seed).await?;
        let guards = Guards { ewc: Some(form), ..Guards::default() };
        let trainer = Trainer::guarded(&self.model, &layout, self.model.pass_rows(), guards)?;
        Ok(trainer.measure(&self.model, &texts).await?)
    }

    async fn train_step(&mut self, batch: &[TrainItem]) -> StudentResult<StepReport> {
        self.check_cancel()?;
        let [teach, protect] = self.sequences(batch).await?;
        let run = self.run.as_mut().ok_or(TrainError::NoAdapter)?;
        run.trainer.zero_grad().map_err(TrainError::from)?;
        let loss = run.trainer.accumulate_both(&self.model, teach, protect).await?;
        let lr = run.schedule.rate(run.trainer.steps() as usize);
        let grad_norm = run.trainer.step(&mut self.model, lr, run.clip).await?;
        Ok(StepReport { loss: loss.tokens, kl: loss.base, grad_norm, tokens: loss.rows })
    }

    async fn snapshot(&mut self) -> StudentResult<Snapshot> {
        let adapter = self.adapter().await?.ok_or(TrainError::NoAdapter)?;
        let run = self.run.as_ref().ok_or(TrainError::NoAdapter)?;
        let moments = run.trainer.moments().await?;
        let moments = moments.map(|weights| Adapter { weights, ..adapter });
        Ok(Snapshot { adapter, moments })
    }

    async fn restore(&mut self, snapshot: &Snapshot, steps: usize) -> StudentResult<()> {
        let Snapshot { adapter, moments: [first, second] } = snapshot;
        let run = self.run.as_mut().ok_or(TrainError::NoAdapter)?;
        run.trainer.resume(steps as u32, [&first.weights, &second.weights])?;
        self.model.set_adapter(Some(adapter))?;
        Ok(())
    }

    fn side_by_side(&self, parts: &[(Adapter, f32)]) -> StudentResult<Adapter> {
        Ok(side_by_side(&self.model.config, parts)?)
    }

    async fn adapter(&mut self) -> StudentResult<Option<Adapter>> {
        self.place(true);
        let Some(lora) = self.model.lora() else { return Ok(None) };
        Ok(Some(lora.download(&self.model.device).await.map_err(ModelError::from)?))
    }
}
