//! The small model's shape and its file: random weights at first, trained ones at the end.
//!
//! It knows GGUF's names for a model and no training. Invariant: nothing is permuted, since the weights are
//! trained in the very order in which they are written.

use super::bpe::Vocabulary;
use crate::format::gguf_value::{Numbers, Strings, Value};
use crate::format::gguf_writer::GgufWriter;
use crate::model::adapter::Adapter;
use crate::model::config::Config;
use crate::model::lora::{LoraLayout, Method, Module};
use crate::model::random::Random;
use crate::quant::{TensorType, quantize};

/// Tokens that steer; the second ends a turn.
pub const SPECIALS: [&str; 3] = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"];

/// ChatML without a default system message.
const TEMPLATE: &str = concat!(
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' ",
    "+ message['content'] + '<|im_end|>' + '\n' }}{% endfor %}",
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
);

/// Length of an embedding's row. The head is the same matrix and stays random, so the length sets how sure the model can
/// become: at 1 it blurs texts of high entropy, at 3 the input drowns what the first layer writes.
const EMBEDDING_LENGTH: f32 = 2.0;

/// How far the outputs of attention and feed-forward network start below their usual scale, so that the residual stream
/// begins as the embedding.
const OUTPUT_SCALE: f32 = 0.3;

/// Weights on the host.
pub struct Blank {
    /// The shape.
    pub config: Config,
    /// `[vocab, dim]`; the head too.
    embedding: Vec<f32>,
    /// By layer, in `Module::ALL`'s order, `[out, in]`.
    linears: Vec<[Vec<f32>; 7]>,
}

impl Blank {
    /// Random weights: normal, of a variance that keeps activations at unit scale.
    pub fn new(config: Config, seed: u64) -> Blank {
        let mut random = Random::new(seed);
        let mut normal = |n: usize, scale: f32| -> Vec<f32> {
            (0..n).map(|_| random.normal() * scale).collect()
        };
        let embedding =
            normal(config.vocab * config.dim, EMBEDDING_LENGTH / (config.dim as f32).sqrt());
        let linears = (0..config.layers)
            .map(|_| {
                Module::ALL.map(|module| {
                    let (rows, cols) = module.shape(&config);
                    let output = matches!(module, Module::O | Module::Down);
                    let scale = if output { OUTPUT_SCALE } else { 1.0 };
                    normal(rows * cols, scale / (cols as f32).sqrt())
                })
            })
            .collect();
        Blank { config, embedding, linears }
    }

    /// Adds a LoRA adapter to the linears: W + s B A. Panics if the method trains more than pairs.
    pub fn merge(&mut self, adapter: &Adapter) {
        assert!(
            matches!(adapter.method, Method::Lora | Method::RsLora),
            "an adapter of pairs alone"
        );
        let layout = LoraLayout::of(&self.config, adapter);
        let (rank, scale) = (adapter.rank, adapter.method.scale(adapter.alpha, adapter.rank));
        for (layer, linears) in self.linears.iter_mut().enumerate() {
            for (module, weight) in Module::ALL.into_iter().zip(linears) {
                let slot = layout.slot(layer, module);
                let a = &adapter.weights[slot.a..][..rank * slot.inputs];
                let b = &adapter.weights[slot.b..][..slot.outputs * rank];
                for (row, b) in weight.chunks_mut(slot.inputs).zip(b.chunks(rank)) {
                    for (b, a) in b.iter().zip(a.chunks(slot.inputs)) {
                        row.iter_mut().zip(a).for_each(|(w, a)| *w += scale * b * a);
                    }
                }
            }
        }
    }

    /// The file; `linears` is the type of the seven linears. The embedding is always Q8_0, so that training sees what is
    /// written in the end.
    pub fn to_gguf(&self, vocabulary: &Vocabulary, linears: TensorType) -> Vec<u8> {
        let mut writer = GgufWriter::new();
        write_config(&mut writer, &self.config);
        write_tokenizer(&mut writer, vocabulary, "smollm");
        let Config { dim, vocab, .. } = self.config;
        let packed = |ty, values: &[f32]| {
            let mut bytes = Vec::new();
            quantize(ty, values, &mut bytes);
            bytes
        };
        let gains = packed(TensorType::F32, &vec![1.0; dim]);
        let shape = [dim as u64, vocab as u64];
        let embedding = packed(TensorType::Q8_0, &self.embedding);
        writer.tensor("token_embd.weight", TensorType::Q8_0, &shape, embedding);
        for (layer, weights) in self.linears.iter().enumerate() {
            for norm in ["attn_norm", "ffn_norm"] {
                let name = format!("blk.{layer}.{norm}.weight");
                writer.tensor(&name, TensorType::F32, &shape[..1], gains.clone());
            }
            for (module, weight) in Module::ALL.into_iter().zip(weights) {
                let name = module.weight_name(layer);
                let (rows, cols) = module.shape(&self.config);
                let data = packed(linears, weight);
                writer.tensor(&name, linears, &[cols as u64, rows as u64], data);
            }
        }
        writer.tensor("output_norm.weight", TensorType::F32, &shape[..1], gains);
        writer.to_bytes()
    }
}

/// Tokens of a vocabulary with the special ones.
pub fn tokens(vocabulary: &Vocabulary) -> usize {
    vocabulary.tokens.len() + SPECIALS.len()
}

/// The metadata of a shape.
pub fn write_config(writer: &mut GgufWriter, config: &Config) {
    let numbers = [
        ("block_count", config.layers),
        ("embedding_length", config.dim),
        ("feed_forward_length", config.ff),
        ("attention.head_count", config.heads),
        ("attention.head_count_kv", config.kv_heads),
        ("attention.key_length", config.head_dim),
        ("attention.value_length", config.head_dim),
        ("rope.dimension_count", config.head_dim),
        ("context_length", config.context),
    ];
    let arch = config.arch.name();
    let key = |name: &str| format!("{arch}.{name}");
    for (name, number) in numbers {
        writer.key(&key(name), Value::U32(number as u32));
    }
    writer
        .key("general.architecture", Value::String(arch.into()))
        .key("general.name", Value::String(config.name.clone()))
        .key("general.license", Value::String("apache-2.0".into()))
        .key(&key("attention.layer_norm_rms_epsilon"), Value::F32(config.rms_eps))
        .key(&key("rope.freq_base"), Value::F32(config.rope_base));
}

/// The metadata of a vocabulary with the special tokens after it; `pre` is GGUF's name of its cuts.
pub fn write_tokenizer(writer: &mut GgufWriter, vocabulary: &Vocabulary, pre: &str) {
    let plain = vocabulary.tokens.len();
    let tokens = vocabulary.tokens.iter().map(String::as_str).chain(SPECIALS);
    let merges = vocabulary.merges.iter().map(|(left, right)| format!("{left} {right}"));
    // GGUF's token types: 1 is text, 3 is control.
    let types: Vec<i32> =
        (0..plain + SPECIALS.len()).map(|id| if id < plain { 1 } else { 3 }).collect();
    writer
        .key("tokenizer.ggml.model", Value::String("gpt2".into()))
        .key("tokenizer.ggml.pre", Value::String(pre.into()))
        .key("tokenizer.ggml.tokens", Value::Strings(tokens.collect::<Strings>()))
        .key("tokenizer.ggml.token_type", Value::Numbers(Numbers::from_i32(&types)))
        .key("tokenizer.ggml.merges", Value::Strings(merges.collect::<Strings>()))
        .key("tokenizer.ggml.eos_token_id", Value::U32(plain as u32 + 1))
        .key("tokenizer.ggml.add_bos_token", Value::Bool(false))
        .key("tokenizer.chat_template", Value::String(TEMPLATE.into()));
}
