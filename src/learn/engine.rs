//! The real student: a model on a device and its trainer, behind what the learning loop asks.
//!
//! It turns conversations into tokens and batches into packs; it decides nothing. Invariant: a training run ends
//! when another adapter is put in place, and the model always serves what was put last.

use super::student::{
    AnswerOptions, Likelihood, Objective, Passage, Question, StepReport, Student, StudentError,
    StudentResult, TrainItem, TrainPlan,
};
use crate::format::chat::LearnedTurns;
use crate::format::message::Message;
use crate::model::adapter::Adapter;
use crate::model::batch::Job;
use crate::model::generate::Cancel;
use crate::model::lora::LoraLayout;
use crate::model::sampler::Sampling;
use crate::model::score::{LogLikelihood, Scored};
use crate::model::{Model, ModelError};
use crate::train::{Goal, Schedule, Sequence, TrainError, Trainer};
use std::collections::HashMap;

/// A model that learns.
pub struct Engine {
    /// The model.
    pub model: Model,
    /// Stops whatever runs.
    pub cancel: Cancel,
    run: Option<Run>,
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
        Engine { model, cancel: Cancel::default(), run: None, teachers: HashMap::new() }
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

    fn check_cancel(&self) -> StudentResult<()> {
        if self.cancel.raised() { Err(StudentError::Cancelled) } else { Ok(()) }
    }

    /// Writes all jobs, each until `enough` says so of its text.
    async fn write(
        &mut self,
        jobs: &[Job],
        enough: fn(&str) -> bool,
    ) -> StudentResult<Vec<String>> {
        self.check_cancel()?;
        let cancel = self.cancel.clone();
        let written = self.model.generate_batch(jobs, &cancel, &enough).await?;
        self.check_cancel()?;
        Ok(written.into_iter().map(|generation| generation.text).collect())
    }

    /// The base's normed hidden rows at a sequence's targets.
    async fn teacher(&mut self, scored: &Scored) -> StudentResult<Vec<f32>> {
        if let Some(rows) = self.teachers.get(scored) {
            return Ok(rows.clone());
        }
        let (rows, targets) = scored.rows(0);
        let lora = self.model.replace_lora(None);
        let result = self.model.normed_rows(&rows, &targets).await;
        self.model.replace_lora(lora);
        let hidden = result?;
        self.teachers.insert(scored.clone(), hidden.clone());
        Ok(hidden)
    }

    /// The sequences of a batch. The loss is the mean over items of each objective, each times its items' weight.
    async fn sequences(&mut self, batch: &[TrainItem]) -> StudentResult<Vec<Sequence>> {
        let count = |objective| batch.iter().filter(|item| item.objective == objective).count();
        let (n_tokens, n_base) = (count(Objective::CrossEntropy), count(Objective::KlToBase));
        let mut sequences = Vec::with_capacity(batch.len());
        for item in batch {
            let scored = self.scored(&item.passage)?;
            let (goal, n) = match item.objective {
                Objective::CrossEntropy => (Goal::Tokens, n_tokens),
                Objective::KlToBase => (Goal::Base(self.teacher(&scored).await?), n_base),
            };
            let sequence = Sequence {
                tokens: scored.tokens,
                counted: scored.counted,
                goal,
                weight: item.weight / n as f32,
            };
            if sequence.targets() > 0 {
                sequences.push(sequence);
            }
        }
        Ok(sequences)
    }
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

    async fn use_adapter(&mut self, adapter: Option<&Adapter>) -> StudentResult<()> {
        self.run = None;
        self.model.set_adapter(adapter)?;
        Ok(())
    }

    async fn answers(
        &mut self,
        conversations: &[(Vec<Message>, AnswerOptions)],
    ) -> StudentResult<Vec<String>> {
        let jobs: Result<Vec<Job>, ModelError> = conversations
            .iter()
            .map(|(messages, options)| Ok(job(self.prompt(messages)?, options)))
            .collect();
        let texts = self.write(&jobs?, |_| false).await?;
        Ok(texts.into_iter().map(|text| text.trim().to_string()).collect())
    }

    async fn continuations(
        &mut self,
        texts: &[(String, AnswerOptions)],
    ) -> StudentResult<Vec<String>> {
        const END: &str = "\n\n";
        let encode = |text: &str| self.model.tokenizer.encode_whole(text, false);
        let jobs: Vec<Job> =
            texts.iter().map(|(text, options)| job(encode(text), options)).collect();
        let written = self.write(&jobs, |text| text.contains(END)).await?;
        let first = |text: String| text.split(END).next().unwrap_or_default().to_string();
        Ok(written.into_iter().map(first).collect())
    }

    async fn score_choices(
        &mut self,
        questions: &[Question],
    ) -> StudentResult<Vec<Vec<Likelihood>>> {
        self.check_cancel()?;
        let tokenizer = &self.model.tokenizer;
        let mut encoded = Vec::with_capacity(questions.len());
        for question in questions {
            // A choice goes on after the prompt.
            let choices = question.choices.iter();
            let choices = choices.map(|choice| tokenizer.encode_rest(choice, false));
            encoded.push((self.prompt(&question.messages)?, choices.collect()));
        }
        let mut scores = self.model.score_choices(&encoded).await?.into_iter();
        let of = |question: &Question| {
            let n = question.choices.len();
            scores.by_ref().take(n).map(Likelihood::from).collect()
        };
        Ok(questions.iter().map(of).collect())
    }

    async fn score_passages(&mut self, passages: &[Passage]) -> StudentResult<Vec<Likelihood>> {
        self.check_cancel()?;
        let scored: Result<Vec<Scored>, ModelError> =
            passages.iter().map(|passage| self.scored(passage)).collect();
        let scores = self.model.score(&scored?).await?;
        Ok(scores.into_iter().map(Likelihood::from).collect())
    }

    async fn begin_training(
        &mut self,
        start: Option<&Adapter>,
        plan: &TrainPlan,
    ) -> StudentResult<()> {
        let adapter = match start {
            Some(adapter) => adapter.clone(),
            None => self.model.fresh_adapter(plan.method, plan.rank, plan.alpha, plan.seed).await?,
        };
        let layout = LoraLayout::of(&self.model.config, &adapter);
        self.run = None;
        self.model.set_adapter(Some(&adapter))?;
        let mut trainer = Trainer::new(&self.model, &layout, self.model.pass_rows())?;
        trainer.set_b_ratio(plan.b_ratio);
        let schedule = Schedule { peak: plan.lr, warmup: plan.warmup, steps: plan.steps };
        self.run = Some(Run { trainer, schedule, clip: plan.clip });
        Ok(())
    }

    async fn train_step(&mut self, batch: &[TrainItem]) -> StudentResult<StepReport> {
        self.check_cancel()?;
        let sequences = self.sequences(batch).await?;
        let run = self.run.as_mut().ok_or(TrainError::NoAdapter)?;
        run.trainer.zero_grad().map_err(TrainError::from)?;
        let loss = run.trainer.accumulate(&self.model, &sequences).await?;
        let lr = run.schedule.rate(run.trainer.steps() as usize);
        let grad_norm = run.trainer.step(&mut self.model, lr, run.clip).await?;
        Ok(StepReport { loss: loss.tokens, kl: loss.base, grad_norm, tokens: loss.rows })
    }

    async fn adapter(&mut self) -> StudentResult<Option<Adapter>> {
        match self.model.lora() {
            Some(lora) => {
                Ok(Some(lora.download(&self.model.device).await.map_err(ModelError::from)?))
            }
            None => Ok(None),
        }
    }
}
