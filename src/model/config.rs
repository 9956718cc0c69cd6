//! A model's shape, as its GGUF states it. It knows no devices.
//!
//! Invariant: a configuration that exists has passed `check`, so every kernel can run its shapes.

use super::ModelError;
use crate::format::gguf::Gguf;

/// The numbers that decide every shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file's own name for the model.
    pub name: String,
    /// Transformer layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub dim: usize,
    /// Width inside the feed-forward network.
    pub ff: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; `heads` is a multiple.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Vocabulary entries.
    pub vocab: usize,
    /// Positions that the model was trained for.
    pub context: usize,
    /// RMSNorm's epsilon.
    pub rms_eps: f32,
    /// RoPE's base frequency.
    pub rope_base: f32,
}

impl Config {
    /// Reads the configuration of a `llama` model.
    pub fn from_gguf(gguf: &Gguf) -> Result<Config, ModelError> {
        let metadata = &gguf.metadata;
        let arch = metadata.str("general.architecture")?;
        if arch != "llama" {
            return Err(ModelError::Architecture { found: arch.to_string() });
        }
        let heads = metadata.usize("llama.attention.head_count")?;
        let dim = metadata.usize("llama.embedding_length")?;
        let embedding = gguf.tensor("token_embd.weight")?;
        let vocab = embedding.shape.get(1).copied().unwrap_or(0) as usize;
        let config = Config {
            name: metadata.opt_str("general.name")?.unwrap_or("unnamed model").to_string(),
            layers: metadata.usize("llama.block_count")?,
            dim,
            ff: metadata.usize("llama.feed_forward_length")?,
            heads,
            kv_heads: metadata.opt_usize("llama.attention.head_count_kv")?.unwrap_or(heads),
            head_dim: metadata
                .opt_usize("llama.rope.dimension_count")?
                .unwrap_or(dim / heads.max(1)),
            vocab,
            context: metadata.usize("llama.context_length")?,
            rms_eps: metadata.f32("llama.attention.layer_norm_rms_epsilon")?,
            rope_base: metadata.opt_f32("llama.rope.freq_base")?.unwrap_or(10_000.0),
        };
        config.check()?;
        Ok(config)
    }

    /// Refuses shapes that no kernel can run, before anything is allocated.
    fn check(&self) -> Result<(), ModelError> {
        let rules = [
            (self.layers > 0 && self.layers <= 512, "block_count must be 1 to 512"),
            (
                self.dim > 0 && self.dim.is_multiple_of(32),
                "embedding_length must be a multiple of 32",
            ),
            (
                self.ff > 0 && self.ff.is_multiple_of(32),
                "feed_forward_length must be a multiple of 32",
            ),
            (self.kv_heads > 0, "attention.head_count_kv must be positive"),
            (self.heads > 0, "attention.head_count must be positive"),
            (
                self.kv_heads > 0 && self.heads.is_multiple_of(self.kv_heads),
                "attention.head_count must be a multiple of head_count_kv",
            ),
            (
                self.head_dim > 0 && self.head_dim.is_multiple_of(4) && self.head_dim <= 128,
                "the head width must be a multiple of 4, at most 128",
            ),
            (
                self.heads.checked_mul(self.head_dim).is_some_and(|q| q.is_multiple_of(32)),
                "heads times head width must be a multiple of 32",
            ),
            (self.vocab > 0, "token_embd.weight must have rows"),
            (self.context > 0, "context_length must be positive"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(ModelError::Shape { rule }),
            None => Ok(()),
        }
    }

    /// RoPE's cos and sin for `positions` positions: `[positions, head_dim / 2, 2]` (Su et al. 2021, eq. 15).
    pub fn rope_table(&self, positions: usize) -> Vec<f32> {
        let half = self.head_dim / 2;
        let mut table = Vec::with_capacity(positions * half * 2);
        for position in 0..positions {
            for i in 0..half {
                // f64: an f32 angle of several thousand radians has lost its fraction.
                let power = -2.0 * i as f64 / self.head_dim as f64;
                let angle = position as f64 * f64::from(self.rope_base).powf(power);
                table.extend([angle.cos() as f32, angle.sin() as f32]);
            }
        }
        table
    }
}
