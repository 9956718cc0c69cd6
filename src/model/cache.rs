//! The KV cache of one conversation: keys and values of every layer, and the tokens that they belong to.
//!
//! Invariant: row i of every layer belongs to `tokens[i]` under the adapter in place; whoever changes the adapter
//! clears the cache.

use super::config::Config;
use crate::device::{Device, DeviceError};
use crate::tensor::Tensor;

/// Keys and values so far.
pub struct Cache {
    /// Each layer's keys and values, `[capacity, kv_heads * head_dim]`.
    pub layers: Vec<(Tensor, Tensor)>,
    /// The tokens whose rows are valid.
    pub tokens: Vec<u32>,
    /// Most tokens.
    pub capacity: usize,
}

impl Cache {
    /// An empty cache.
    pub fn new(device: &Device, config: &Config, capacity: usize) -> Result<Cache, DeviceError> {
        let cols = config.kv_heads * config.head_dim;
        let layers = (0..config.layers)
            .map(|_| {
                let k = Tensor::zeros(device, "k cache", capacity, cols)?;
                Ok((k, Tensor::zeros(device, "v cache", capacity, cols)?))
            })
            .collect::<Result<_, DeviceError>>()?;
        Ok(Cache { layers, tokens: Vec::new(), capacity })
    }

    /// Keeps the longest common prefix with `prompt`, but for its last token, whose logits are needed.
    /// Returns how many tokens are kept.
    pub fn reuse(&mut self, prompt: &[u32]) -> usize {
        let pairs = self.tokens.iter().zip(prompt);
        let common = pairs.take_while(|(a, b)| a == b).count();
        let kept = common.min(prompt.len().saturating_sub(1));
        self.tokens.truncate(kept);
        kept
    }

    /// Forgets all tokens.
    pub fn clear(&mut self) {
        self.tokens.clear();
    }
}
