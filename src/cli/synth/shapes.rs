//! The shapes of models that people run, by the names that `synth --arch` takes.
//!
//! Facts from the models' published configurations; no weights. Invariant: each passes the checks of a model's file.

use crate::model::config::{Arch, Config};

/// A shape, and what a file has beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// What `--arch` calls it.
    pub key: &'static str,
    /// The numbers.
    pub config: Config,
    /// Whether the vocabulary's matrix is the embedding.
    pub tied: bool,
    /// By how much Llama 3 stretches RoPE's slow waves; 1 where it does not.
    pub rope_stretch: f32,
    /// GGUF's name of the tokenizer's cuts.
    pub pre: &'static str,
}

/// Context that Llama 3 was trained with before RoPE was stretched.
const LLAMA3_CONTEXT: f64 = 8192.0;

/// All of them.
pub fn all() -> Vec<Shape> {
    vec![
        smollm2("smollm2-135m"),
        llama3("llama-1b", "Llama 3.2 1B", [16, 2048, 8192, 32, 8, 64], 32.0, true),
        llama3("llama-3b", "Llama 3.2 3B", [28, 3072, 8192, 24, 8, 128], 32.0, true),
        llama3("llama-8b", "Llama 3.1 8B", [32, 4096, 14336, 32, 8, 128], 8.0, false),
        qwen("qwen2-0.5b", "Qwen2.5 0.5B", Arch::Qwen2, [24, 896, 4864, 14, 2, 64], 32_768),
        qwen("qwen3-0.6b", "Qwen3 0.6B", Arch::Qwen3, [28, 1024, 3072, 16, 8, 128], 40_960),
    ]
}

/// The shape that `--arch` calls `key`.
pub fn find(key: &str) -> Option<Shape> {
    all().into_iter().find(|shape| shape.key == key)
}

/// What to say of a name that no shape has.
pub fn unknown(name: &str) -> String {
    let names: Vec<_> = all().iter().map(|shape| shape.key).collect();
    format!("no shape `{name}`; choose one of {}", names.join(" "))
}

impl Shape {
    /// Divisors of RoPE's frequencies: 1 for waves of up to a quarter of the trained context, the stretch for those longer
    /// than it, and between them a blend of the frequencies (Llama 3.1's `rope_scaling`).
    pub fn rope_divisors(&self) -> Option<Vec<f32>> {
        if self.rope_stretch == 1.0 {
            return None;
        }
        let Config { head_dim, rope_base, .. } = self.config;
        let divisor = |i: usize| {
            let power = 2.0 * i as f64 / head_dim as f64;
            let wave = std::f64::consts::TAU * f64::from(rope_base).powf(power);
            let (turns, stretch) = (LLAMA3_CONTEXT / wave, f64::from(self.rope_stretch));
            let share = ((turns - 1.0) / 3.0).clamp(0.0, 1.0);
            (1.0 / ((1.0 - share) / stretch + share)) as f32
        };
        Some((0..head_dim / 2).map(divisor).collect())
    }
}

/// Layers, width, feed-forward width, heads, key heads, head width.
type Sizes = [usize; 6];

fn config(name: &str, arch: Arch, sizes: Sizes) -> Config {
    let [layers, dim, ff, heads, kv_heads, head_dim] = sizes;
    Config {
        name: format!("random weights in the shape of {name}"),
        arch,
        layers,
        dim,
        ff,
        heads,
        kv_heads,
        head_dim,
        vocab: 49_152,
        context: 8192,
        rms_eps: 1e-5,
        rope_base: 100_000.0,
    }
}

fn smollm2(key: &'static str) -> Shape {
    let config = config("SmolLM2 135M", Arch::Llama, [30, 576, 1536, 9, 3, 64]);
    Shape { key, config, tied: true, rope_stretch: 1.0, pre: "smollm" }
}

fn llama3(key: &'static str, name: &str, sizes: Sizes, rope_stretch: f32, tied: bool) -> Shape {
    let config = config(name, Arch::Llama, sizes);
    let config = Config { vocab: 128_256, context: 131_072, rope_base: 500_000.0, ..config };
    Shape { key, config, tied, rope_stretch, pre: "llama-bpe" }
}

fn qwen(key: &'static str, name: &str, arch: Arch, sizes: Sizes, context: usize) -> Shape {
    let config = config(name, arch, sizes);
    let config = Config { vocab: 151_936, context, rms_eps: 1e-6, rope_base: 1e6, ..config };
    Shape { key, config, tied: true, rope_stretch: 1.0, pre: "qwen2" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama3_stretches_slow_waves_only() {
        let divisors = find("llama-1b").unwrap().rope_divisors().unwrap();
        assert_eq!(divisors.len(), 32);
        assert_eq!((divisors[0], divisors[31]), (1.0, 32.0));
        assert!(divisors.is_sorted() && divisors.iter().any(|d| *d > 1.0 && *d < 32.0));
        assert_eq!(find("qwen3-0.6b").unwrap().rope_divisors(), None);
    }
}
