//! What several prompts begin with, computed once: its keys and values lie in the cache's first rows, and are copied to
//! where each stream has its own.
//!
//! A chat template opens every question with the same words, often more than the question has. Copies cost bytes where
//! computing them costs products, and a stream's keys stay in one range, which decoding reads fastest. Invariant: an opening
//! stays in the cache for the next batch, and has been computed in one pass.

use super::{Model, ModelError};
use crate::device::{Recording, View};
use crate::tensor::Tensor;

/// Tokens from which on an opening is worth a pass of its own.
const SHARED_MIN: usize = 8;

/// How many tokens all prompts begin with, but for each one's last, whose logits are its own; 0 if that saves nothing.
fn shared(prompts: &[&[u32]]) -> usize {
    let [first, rest @ ..] = prompts else { return 0 };
    let own = prompts.iter().map(|prompt| prompt.len().saturating_sub(1)).min().unwrap_or(0);
    let alike = rest.iter().fold(own, |alike, prompt| {
        first[..alike].iter().zip(*prompt).take_while(|(a, b)| a == b).count()
    });
    if rest.is_empty() || alike < SHARED_MIN { 0 } else { alike }
}

impl Model {
    /// Puts what all prompts begin with in the cache's first rows, unless it is there already, and tells its length, which leaves
    /// at least `range` rows of the cache. Where that is 0, the cache is as it was.
    pub(super) async fn open(
        &mut self,
        prompts: &[&[u32]],
        range: usize,
    ) -> Result<usize, ModelError> {
        let room = self.cache.capacity.saturating_sub(range).min(self.pass_rows());
        let alike = shared(prompts);
        if alike == 0 || alike > room {
            return Ok(0);
        }
        let opening = &prompts[0][..alike];
        // Whole or not at all: its numbers must not tell in which pieces they were computed, since cycles are repeated.
        if self.cache.tokens != opening {
            self.cache.clear();
            self.extend(opening).await?;
        }
        Ok(alike)
    }

    /// Copies the first `rows` rows of the cache to each row of `to`, by way of scratch, since no device copies within a buffer.
    pub(super) fn copy_opening(&self, rows: usize, to: &[usize]) -> Result<(), ModelError> {
        if rows == 0 || to.is_empty() {
            return Ok(());
        }
        let mut rec = Recording::new();
        let scratch = [&self.scratch.0, &self.scratch.1].map(|scratch| part(scratch, 0, rows));
        for (keys, values) in &self.cache.layers {
            for (cached, scratch) in [keys, values].into_iter().zip(&scratch) {
                rec.copy(&part(cached, 0, rows), scratch);
                for &at in to {
                    rec.copy(scratch, &part(cached, at, rows));
                }
            }
        }
        self.device.submit(rec)?;
        Ok(())
    }
}

/// Rows `at..at + rows` of a tensor.
fn part(tensor: &Tensor, at: usize, rows: usize) -> View {
    let row = 4 * tensor.cols as u64;
    tensor.buffer().slice(tensor.view.offset + at as u64 * row, rows as u64 * row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_keeps_its_last_token_and_one_prompt_shares_nothing() {
        let long: Vec<u32> = (0..20).collect();
        let other: Vec<u32> = (0..12).chain([99, 98]).collect();
        assert_eq!(shared(&[]), 0);
        assert_eq!(shared(&[&long]), 0);
        assert_eq!(shared(&[&long, &long]), 19);
        assert_eq!(shared(&[&long, &other, &long]), 12);
        assert_eq!(shared(&[&long, &long[..12]]), 11);
        assert_eq!(shared(&[&long, &long[..8]]), 0, "seven are not worth a pass");
        assert_eq!(shared(&[&long, &other[..3]]), 0);
    }
}
