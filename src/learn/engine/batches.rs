//! What a training step or a measurement runs on: batches as sequences, and what the model draws from itself.
//!
//! It decides nothing. Invariant: a teacher's rows are made once for each sequence, with the adapter out of the model.

use super::Engine;
use crate::learn::student::{Objective, Passage, StudentResult, TrainItem};
use crate::model::batch::Job;
use crate::model::sampler::Sampling;
use crate::model::score::Scored;
use crate::train::{Goal, Sequence};

/// Most tokens that are drawn of a text to measure what it needs.
const DRAWN_MAX: usize = 64;

impl Engine {
    /// The base's normed hidden rows at a sequence's targets.
    pub(super) async fn teacher(&mut self, scored: &Scored) -> StudentResult<Vec<f32>> {
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

    /// The sequences of a batch: those that teach and those that protect. The loss is the mean over items of each objective,
    /// each times its items' weight.
    pub(super) async fn sequences(
        &mut self,
        batch: &[TrainItem],
    ) -> StudentResult<[Vec<Sequence>; 2]> {
        let count = |objective| batch.iter().filter(|item| item.objective == objective).count();
        let (n_tokens, n_base) = (count(Objective::CrossEntropy), count(Objective::KlToBase));
        let mut sides = [Vec::new(), Vec::new()];
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
                sides[usize::from(item.protects)].push(sequence);
            }
        }
        Ok(sides)
    }

    /// What the model draws from its own distribution after each passage's prompt (a text's first half): the tokens that the
    /// Fisher information is of, among the 64 most likely at each step.
    pub(super) async fn draws(
        &mut self,
        passages: &[Passage],
        seed: u64,
    ) -> StudentResult<Vec<Scored>> {
        let mut jobs = Vec::with_capacity(passages.len());
        for (passage, index) in passages.iter().zip(0..) {
            let Scored { mut tokens, counted } = self.scored(passage)?;
            let learned = counted.iter().position(|counted| *counted).unwrap_or(tokens.len());
            let prompt = match passage {
                Passage::Chat(_) => learned,
                Passage::Text(_) => tokens.len() / 2,
            };
            let tokens_max = (tokens.len() - prompt).clamp(1, DRAWN_MAX);
            tokens.truncate(prompt.max(1));
            let sampling = Sampling {
                temperature: 1.0,
                top_k: 0,
                top_p: 1.0,
                seed: seed ^ index,
                ..Sampling::default()
            };
            jobs.push(Job { prompt: tokens, tokens_max, sampling });
        }
        self.check_cancel()?;
        let cancel = self.cancel.clone();
        let drawn = self.model.generate_batch(&jobs, &cancel, &|_: &str| false).await?;
        self.check_cancel()?;
        let joined = jobs.into_iter().zip(drawn).map(|(job, drawn)| {
            let mut counted = vec![false; job.prompt.len()];
            counted.resize(job.prompt.len() + drawn.tokens.len(), true);
            let tokens = [job.prompt, drawn.tokens].concat();
            Scored { tokens, counted }.fit(self.model.pass_rows())
        });
        Ok(joined.collect())
    }
}
