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

    /// Generates text until `enough` says so.
    async fn generate(
        &mut self,
        prompt: &[u32],
        options: &AnswerOptions,
        enough: fn(&str) -> bool,
    ) -> StudentResult<String> {
        self.check_cancel()?;
        let sampling = Sampling {
            temperature: options.temperature,
            seed: options.seed,
            ..Sampling::default()
        };
        let cancel = self.cancel.clone();
        let mut text = String::new();
        let mut on_progress = |progress: crate::model::generate::Progress<'_>| {
            if let crate::model::generate::Progress::Text(more) = progress {
                text.push_str(more);
            }
            !enough(&text)
        };
        let tokens_max = options.tokens_max;
        self.model.generate(prompt, tokens_max, &sampling, &cancel, &mut on_progress).await?;
        self.check_cancel()?;
        Ok(text)
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

    async fn answer(
        &mut self,
        messages: &[Message],
        options: &AnswerOptions,
    ) -> StudentResult<String> {
        let prompt = self.prompt(messages)?;
        let text = self.generate(&prompt, options, |_| false).await?;
        Ok(text.trim().to_string())
    }

    async fn continue_text(
        &mut self,
        text: &str,
        options: &AnswerOptions,
    ) -> StudentResult<String> {
        let prompt = self.model.tokenizer.encode_whole(text, false);
        let more = self.generate(&prompt, options, |text| text.contains("\n\n")).await?;
        Ok(more.split("\n\n").next().unwrap_or_default().to_string())
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
        let layout = LoraLayout::new(&self.model.config, start.map_or(plan.rank, |a| a.rank));
        let adapter = match start {
            Some(adapter) => adapter.clone(),
            None => layout.fresh(plan.alpha, plan.seed),
        };
        self.run = None;
        self.model.set_adapter(Some(&adapter))?;
        let trainer = Trainer::new(&self.model, &layout, self.model.pass_rows())?;
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
