//! Choosing the next token: greedy, or temperature with top-k and top-p over the k most likely.
//!
//! The device delivers the k largest logits and the log-sum-exp of all; the draw happens on the host from a
//! seeded generator, so that one seed gives one text on one device.

use super::random::Random;

/// Most candidates that the device sorts.
pub const TOP_K_MAX: usize = 64;

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

    /// Candidates to ask the device for.
    pub fn candidates(&self) -> usize {
        if self.top_k == 0 { TOP_K_MAX } else { self.top_k.min(TOP_K_MAX) }
    }
}

/// Draws one of `ids` by their `logits` (both sorted, most likely first).
pub fn draw(ids: &[u32], logits: &[f32], sampling: &Sampling, random: &mut Random) -> u32 {
    let top = logits[0];
    let weights: Vec<f32> =
        logits.iter().map(|logit| ((logit - top) / sampling.temperature).exp()).collect();
    let total: f32 = weights.iter().sum();
    // The nucleus (Holtzman et al. 2020): candidates until their share reaches top_p, the first one always.
    let mut kept = 0.0;
    let mut n = 0;
    for weight in &weights {
        kept += weight;
        n += 1;
        if kept >= sampling.top_p * total {
            break;
        }
    }
    let mut at = random.uniform() * kept;
    for (id, weight) in ids.iter().zip(&weights[..n]) {
        if at < *weight {
            return *id;
        }
        at -= weight;
    }
    ids[n - 1]
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
