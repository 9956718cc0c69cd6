//! What a batch lost, as means over its targets.
//!
//! It knows no model. Invariant: two batches put together have the means of all their targets.

/// Mean losses of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BatchLoss {
    /// Mean cross entropy of its targets, nats a token; 0 without any.
    pub tokens: f32,
    /// Mean KL of its targets, nats a token; 0 without any.
    pub base: f32,
    /// Targets learned by cross entropy.
    pub n_tokens: usize,
    /// Targets learned by KL.
    pub n_base: usize,
    /// Rows that went through the model.
    pub rows: usize,
}

impl BatchLoss {
    /// The means of this batch and another one together.
    pub fn with(self, other: BatchLoss) -> BatchLoss {
        let mean = |a: f32, n_a: usize, b: f32, n_b: usize| {
            (a * n_a as f32 + b * n_b as f32) / (n_a + n_b).max(1) as f32
        };
        BatchLoss {
            tokens: mean(self.tokens, self.n_tokens, other.tokens, other.n_tokens),
            base: mean(self.base, self.n_base, other.base, other.n_base),
            n_tokens: self.n_tokens + other.n_tokens,
            n_base: self.n_base + other.n_base,
            rows: self.rows + other.rows,
        }
    }
}
