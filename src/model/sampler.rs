//! Choosing the next token of each row: greedy, or temperature with top-k and top-p over the k most likely.
//!
//! The device delivers the k largest logits and the log-sum-exp of all; the draw happens on the host from a
//! seeded generator, so that one seed gives one text on one device. Where an answer has a form, all logits come to the host,
//! which masks them before it does the same.

use super::constraint::Constraint;
use super::random::Random;
use super::{Model, ModelError};
use crate::device::Recording;
use crate::kernels::{self, Nucleus};

/// Most candidates that the device sorts.
pub use crate::kernels::TOP_K_MAX;

/// Words that the device's answer takes for `rows` rows of logits.
pub fn picked_words(rows: usize) -> usize {
    rows * kernels::top_k_words(TOP_K_MAX)
}

/// A token that is to be chosen for one row of logits.
pub struct Choice<'a> {
    /// The tokens before it.
    pub seen: &'a [u32],
    /// How to choose.
    pub sampling: &'a Sampling,
    /// Where draws come from.
    pub random: &'a mut Random,
}

/// How to sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: f32,
    /// Candidates kept, 1 to 64; 0 is 64.
    pub top_k: usize,
    /// Smallest set of candidates whose probability reaches this; 1 keeps all.
    pub top_p: f32,
    /// Logits of tokens seen are divided (or, negative, multiplied) by this; 1 does nothing.
    pub repetition_penalty: f32,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling { temperature: 0.0, top_k: 40, top_p: 0.95, repetition_penalty: 1.0, seed: 0 }
    }
}

impl Sampling {
    /// Does it take the most likely token without drawing?
    pub fn greedy(&self) -> bool {
        self.temperature <= 0.0
    }

    /// The next draw.
    pub(super) fn nucleus(&self, random: &mut Random) -> Nucleus {
        Nucleus { temperature: self.temperature, top_p: self.top_p, u: random.uniform() }
    }

    /// Candidates to ask the device for.
    pub fn candidates(&self) -> usize {
        if self.top_k == 0 { TOP_K_MAX } else { self.top_k.min(TOP_K_MAX) }
    }
}

impl Model {
    /// Chooses a token for each of the first rows of logits; `choices` has one entry a row.
    pub(super) async fn sample(&self, choices: &mut [Choice<'_>]) -> Result<Vec<u32>, ModelError> {
        if choices.is_empty() {
            return Ok(Vec::new());
        }
        let mut rec = Recording::new();
        let logits = self.logits.top(choices.len());
        self.penalize(&mut rec, choices)?;
        let rows = choices.len();
        if choices.iter().all(|choice| choice.sampling.greedy()) {
            kernels::argmax(&mut rec, &logits, &self.picked.view())?;
            let ids = self.picked.slice(0, 4 * rows as u64);
            return Ok(self.device.submit_and_read(rec, &ids).await?);
        }
        let wanted = choices.iter().map(|choice| choice.sampling.candidates()).max();
        let k = wanted.unwrap_or(1).min(self.config.vocab);
        let words = kernels::top_k_words(k);
        kernels::top_k(&mut rec, &logits, k, &self.picked.view())?;
        let picked = self.picked.slice(0, (4 * rows * words) as u64);
        let read = self.device.submit_and_read::<u32>(rec, &picked).await?;
        let draw = |(choice, row): (&mut Choice<'_>, &[u32])| {
            if choice.sampling.greedy() {
                return row[0];
            }
            let kept = choice.sampling.candidates().min(k);
            let values: Vec<f32> = row[k..k + kept].iter().map(|w| f32::from_bits(*w)).collect();
            draw(&row[..kept], &values, choice.sampling, choice.random)
        };
        Ok(choices.iter_mut().zip(read.chunks(words)).map(draw).collect())
    }

    /// Chooses a token for row 0 of the logits that a recording makes, among those that a form allows.
    pub(super) async fn choose_within(
        &mut self,
        mut rec: Recording,
        choice: Choice<'_>,
        within: &mut Constraint,
    ) -> Result<u32, ModelError> {
        let choices = [choice];
        self.penalize(&mut rec, &choices)?;
        let logits = self.logits.buffer().slice(0, 4 * self.config.vocab as u64);
        let mut logits = self.device.submit_and_read::<f32>(rec, &logits).await?;
        within.mask(&mut logits)?;
        let [Choice { sampling, random, .. }] = choices;
        let token = choose(&logits, sampling, random);
        within.take(token)?;
        Ok(token)
    }

    /// Records the repetition penalties, those of one factor together: a logit's index counts over all rows.
    pub(super) fn penalize(
        &self,
        rec: &mut Recording,
        choices: &[Choice<'_>],
    ) -> Result<(), ModelError> {
        let vocab = self.config.vocab;
        let factor = |choice: &Choice<'_>| choice.sampling.repetition_penalty;
        let mut factors: Vec<f32> = choices.iter().map(factor).filter(|f| *f != 1.0).collect();
        factors.sort_unstable_by(f32::total_cmp);
        factors.dedup();
        for penalty in factors {
            let rows = choices.iter().enumerate().filter(|(_, choice)| factor(choice) == penalty);
            let mut ids: Vec<u32> = rows
                .flat_map(|(row, choice)| {
                    choice.seen.iter().map(move |id| (row * vocab) as u32 + id)
                })
                .collect();
            ids.sort_unstable();
            ids.dedup();
            let buffer = self.device.upload("penalized ids", &ids)?;
            let all = self.logits.reshape(1, choices.len() * vocab);
            kernels::penalize(rec, &buffer.view(), ids.len(), penalty, &all)?;
        }
        Ok(())
    }
}

/// Chooses one of all tokens by their logits, as the device would; those at minus infinity are not chosen.
fn choose(logits: &[f32], sampling: &Sampling, random: &mut Random) -> u32 {
    let larger = |a: &u32, b: &u32| {
        let by_logit = logits[*b as usize].total_cmp(&logits[*a as usize]);
        // Of equal ones the first comes first, as on the device.
        by_logit.then(a.cmp(b))
    };
    let mut ids: Vec<u32> = (0..logits.len() as u32).collect();
    let k = if sampling.greedy() { 1 } else { sampling.candidates().min(ids.len()) };
    if k < ids.len() {
        ids.select_nth_unstable_by(k - 1, larger);
    }
    ids.truncate(k);
    ids.sort_unstable_by(larger);
    if sampling.greedy() {
        return ids[0];
    }
    let kept: Vec<f32> = ids.iter().map(|id| logits[*id as usize]).collect();
    draw(&ids, &kept, sampling, random)
}

/// Draws one of `ids` by their `logits` (both sorted, most likely first).
pub fn draw(ids: &[u32], logits: &[f32], sampling: &Sampling, random: &mut Random) -> u32 {
    ids[kernels::drawn(logits, sampling.nucleus(random))]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(sampling: &Sampling) -> [usize; 3] {
        let mut random = Random::new(7);
        let mut counts = [0; 3];
        for _ in 0..4000 {
            counts[draw(&[0, 1, 2], &[2.0, 1.0, 0.0], sampling, &mut random) as usize] += 1;
        }
        counts
    }

    #[test]
    fn draws_follow_the_softmax() {
        let all = Sampling { temperature: 1.0, top_p: 1.0, ..Sampling::default() };
        let [a, b, c] = counts(&all).map(|n| n as f64 / 4000.0);
        // softmax(2, 1, 0) = 0.665, 0.245, 0.090; five standard errors of 4000 draws are 0.04 at most.
        assert!((a - 0.665).abs() < 0.04 && (b - 0.245).abs() < 0.04 && (c - 0.090).abs() < 0.04);
    }

    #[test]
    fn the_nucleus_cuts_the_tail() {
        let nucleus = Sampling { temperature: 1.0, top_p: 0.6, ..Sampling::default() };
        assert_eq!(counts(&nucleus), [4000, 0, 0]);
    }
}
