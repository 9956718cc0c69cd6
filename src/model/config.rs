//! A model's shape, as its GGUF states it. It knows no devices.
//!
//! Invariant: a configuration that exists has passed `check`, so every kernel can run its shapes.

use super::ModelError;
use crate::format::gguf::Gguf;

/// A family of transformers: the order of RoPE's pairs, and what its attention has beside the linears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// SmolLM2, Llama 2 and 3, Mistral.
    Llama,
    /// Qwen 2 and 2.5: biases on q, k and v.
    Qwen2,
    /// Qwen 3: norms of each head of q and k.
    Qwen3,
}

impl Arch {
    /// Every family that this program runs.
    pub const ALL: [Arch; 3] = [Arch::Llama, Arch::Qwen2, Arch::Qwen3];

    /// GGUF's name of it, which is also the prefix of its metadata keys.
    pub fn name(self) -> &'static str {
        match self {
            Arch::Llama => "llama",
            Arch::Qwen2 => "qwen2",
            Arch::Qwen3 => "qwen3",
        }
    }

    /// Whether RoPE turns neighbours (2i, 2i + 1) instead of (i, i + head_dim / 2): GGUF's writers permute the rows of q and
    /// k of `llama` models for it, and leave those of the others as Hugging Face has them.
    pub fn interleaves_rope(self) -> bool {
        self == Arch::Llama
    }

    /// Whether q, k and v have biases.
    pub fn has_biases(self) -> bool {
        self == Arch::Qwen2
    }

    /// Whether each head of q and k is normed before RoPE.
    pub fn norms_heads(self) -> bool {
        self == Arch::Qwen3
    }
}

/// The numbers that decide every shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file's own name for the model.
    pub name: String,
    /// The family.
    pub arch: Arch,
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
    /// Width of a head; `heads * head_dim` need not be `dim`.
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
    /// Reads the configuration of a model of any family.
    pub fn from_gguf(gguf: &Gguf) -> Result<Config, ModelError> {
        let metadata = &gguf.metadata;
        let found = metadata.str("general.architecture")?;
        let Some(arch) = Arch::ALL.into_iter().find(|arch| arch.name() == found) else {
            return Err(ModelError::Architecture { found: found.to_string() });
        };
        let key = |name: &str| format!("{}.{name}", arch.name());
        let number = |name: &str| metadata.usize(&key(name));
        let opt_number = |name: &str| metadata.opt_usize(&key(name));
        if let Some(scaling @ ("linear" | "yarn" | "longrope")) =
            metadata.opt_str(&key("rope.scaling.type"))?
        {
            return Err(ModelError::RopeScaling { found: scaling.to_string() });
        }
        let heads = number("attention.head_count")?;
        let dim = number("embedding_length")?;
        let head_dim = match opt_number("attention.key_length")? {
            Some(head_dim) => head_dim,
            None => opt_number("rope.dimension_count")?.unwrap_or(dim / heads.max(1)),
        };
        let same = |width: Option<usize>| width.is_none_or(|width| width == head_dim);
        if !same(opt_number("attention.value_length")?)
            || !same(opt_number("rope.dimension_count")?)
        {
            let rule = "keys, values and RoPE must have one width";
            return Err(ModelError::Shape { rule });
        }
        let embedding = gguf.tensor("token_embd.weight")?;
        let config = Config {
            name: metadata.opt_str("general.name")?.unwrap_or("unnamed model").to_string(),
            arch,
            layers: number("block_count")?,
            dim,
            ff: number("feed_forward_length")?,
            heads,
            kv_heads: opt_number("attention.head_count_kv")?.unwrap_or(heads),
            head_dim,
            vocab: embedding.shape.get(1).copied().unwrap_or(0) as usize,
            context: number("context_length")?,
            rms_eps: metadata.f32(&key("attention.layer_norm_rms_epsilon"))?,
            rope_base: metadata.opt_f32(&key("rope.freq_base"))?.unwrap_or(10_000.0),
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
    /// `divisors` `[head_dim / 2]` divide the frequencies, as Llama 3 stretches the slow ones to longer texts.
    pub fn rope_table(&self, positions: usize, divisors: Option<&[f32]>) -> Vec<f32> {
        let half = self.head_dim / 2;
        let frequency = |i: usize| {
            let power = -2.0 * i as f64 / self.head_dim as f64;
            let divisor = divisors.map_or(1.0, |divisors| f64::from(divisors[i]));
            f64::from(self.rope_base).powf(power) / divisor
        };
        let frequencies: Vec<f64> = (0..half).map(frequency).collect();
        let mut table = Vec::with_capacity(positions * half * 2);
        for position in 0..positions {
            for frequency in &frequencies {
                // f64: an f32 angle of several thousand radians has lost its fraction.
                let angle = position as f64 * frequency;
                table.extend([angle.cos() as f32, angle.sin() as f32]);
            }
        }
        table
    }
}
