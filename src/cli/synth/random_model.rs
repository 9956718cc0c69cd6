//! A model of random weights in a given shape and type, written as a stream: what speed and memory are measured on.
//!
//! It knows GGUF's names and nothing of devices. A tensor's blocks are drawn from a few hundred that were quantized from
//! normal numbers, so every type that can be quantized can be written, as fast as the disk. Invariant: the memory needed does
//! not depend on the model's size, and the same shape, type and seed give the same bytes.

use super::blank::{self, write_config, write_tokenizer};
use super::bpe::Vocabulary;
use super::shapes::Shape;
use crate::format::byte_level::byte_level_vocab;
use crate::format::gguf_writer::{ALIGNMENT, GgufWriter, TensorHead};
use crate::format::requantize::fitting;
use crate::model::config::Config;
use crate::model::lora::Module;
use crate::model::random::Random;
use crate::quant::{TensorType, quantize};
use std::collections::HashMap;
use std::io::{self, Write};

/// Elements of a unit of a pool: a whole number of blocks of every type.
const UNIT: usize = 256;
/// Units of a pool.
const POOL_UNITS: usize = 256;
/// Blocks that are drawn at once.
const RUN_BYTES: usize = 1024;

/// A tensor to be written.
struct Planned {
    head: TensorHead,
    content: Content,
}

/// What is in a tensor.
#[derive(Clone, PartialEq)]
enum Content {
    /// Normal numbers of this standard deviation.
    Normal(f32),
    /// These numbers.
    Values(Vec<f32>),
}

/// Writes the model to `to`; `on_bytes` hears of the bytes done and in all. Returns the bytes.
pub fn write(
    to: &mut dyn Write,
    shape: &Shape,
    ty: TensorType,
    seed: u64,
    on_bytes: &mut dyn FnMut(u64, u64),
) -> io::Result<u64> {
    let planned = plan(shape, ty);
    let (header, total) = header_of(shape, &planned);
    let mut done = header.len() as u64;
    to.write_all(&header)?;
    let mut random = Random::new(seed);
    let mut pools = HashMap::new();
    for tensor in &planned {
        let padding = done.next_multiple_of(ALIGNMENT) - done;
        to.write_all(&[0; ALIGNMENT as usize][..padding as usize])?;
        tensor.write(to, &mut random, &mut pools)?;
        done = end(done, &tensor.head);
        on_bytes(done, total);
    }
    to.flush()?;
    Ok(done)
}

/// The file up to its first tensor's data, and the bytes of the whole.
pub fn header(shape: &Shape, ty: TensorType) -> (Vec<u8>, u64) {
    header_of(shape, &plan(shape, ty))
}

fn header_of(shape: &Shape, planned: &[Planned]) -> (Vec<u8>, u64) {
    let mut writer = GgufWriter::new();
    write_config(&mut writer, &shape.config);
    let plain = shape.config.vocab - blank::SPECIALS.len();
    write_tokenizer(&mut writer, &vocabulary(plain), shape.pre);
    let heads: Vec<TensorHead> = planned.iter().map(|tensor| tensor.head.clone()).collect();
    let header = writer.header(&heads);
    let total = heads.iter().fold(header.len() as u64, end);
    (header, total)
}

/// Where a tensor ends in a file of `at` bytes before it.
fn end(at: u64, head: &TensorHead) -> u64 {
    at.next_multiple_of(ALIGNMENT) + head.bytes()
}

/// Blocks to draw from, by type and the bits of their standard deviation.
type Pools = HashMap<(TensorType, u32), Vec<u8>>;

impl Planned {
    fn write(&self, to: &mut dyn Write, random: &mut Random, pools: &mut Pools) -> io::Result<()> {
        match &self.content {
            Content::Values(values) => {
                let mut bytes = Vec::new();
                quantize(self.head.ty, values, &mut bytes);
                to.write_all(&bytes)
            }
            Content::Normal(scale) => {
                let pool = pools.entry((self.head.ty, scale.to_bits()));
                let pool = pool.or_insert_with(|| blocks(self.head.ty, *scale, random));
                let block = self.head.ty.block_bytes();
                let mut left = self.head.bytes() as usize;
                while left > 0 {
                    let start = random.below(pool.len() / block) * block;
                    let run = RUN_BYTES.next_multiple_of(block).min(left).min(pool.len() - start);
                    to.write_all(&pool[start..start + run])?;
                    left -= run;
                }
                Ok(())
            }
        }
    }
}

/// Blocks of `ty` from normal numbers of this standard deviation: what random weights are drawn from.
pub fn blocks(ty: TensorType, scale: f32, random: &mut Random) -> Vec<u8> {
    let values: Vec<f32> = (0..UNIT * POOL_UNITS).map(|_| random.normal() * scale).collect();
    let mut pool = Vec::new();
    quantize(ty, &values, &mut pool);
    pool
}

/// Every tensor in the order of the file.
fn plan(shape: &Shape, ty: TensorType) -> Vec<Planned> {
    let Config { arch, layers, dim, vocab, head_dim, .. } = shape.config;
    let matrix = |name: String, rows: usize, cols: usize, scale: f32| Planned {
        head: TensorHead { name, ty: fitting(ty, cols), shape: vec![cols as u64, rows as u64] },
        content: Content::Normal(scale / (cols as f32).sqrt()),
    };
    let vector = |name: String, content: Content, len: usize| Planned {
        head: TensorHead { name, ty: TensorType::F32, shape: vec![len as u64] },
        content,
    };
    let gain = |name: String, len: usize| vector(name, Content::Values(vec![1.0; len]), len);
    let mut all = Vec::new();
    if let Some(divisors) = shape.rope_divisors() {
        let len = divisors.len();
        all.push(vector("rope_freqs.weight".into(), Content::Values(divisors), len));
    }
    all.push(matrix("token_embd.weight".into(), vocab, dim, 1.0));
    for layer in 0..layers {
        let name = |part: &str| format!("blk.{layer}.{part}");
        all.extend(["attn_norm", "ffn_norm"].map(|norm| gain(name(norm) + ".weight", dim)));
        if arch.norms_heads() {
            let norms = ["attn_q_norm", "attn_k_norm"];
            all.extend(norms.map(|norm| gain(name(norm) + ".weight", head_dim)));
        }
        for module in Module::ALL {
            let (rows, cols) = module.shape(&shape.config);
            // Small outputs keep the residual stream near the embedding through any number of layers.
            let scale = if matches!(module, Module::O | Module::Down) { 0.3 } else { 1.0 };
            let part = name(module.gguf_name());
            if arch.has_biases() && matches!(module, Module::Q | Module::K | Module::V) {
                all.push(vector(format!("{part}.bias"), Content::Normal(0.1), rows));
            }
            all.push(matrix(part + ".weight", rows, cols, scale));
        }
    }
    all.push(gain("output_norm.weight".into(), dim));
    if !shape.tied {
        all.push(matrix("output.weight".into(), vocab, dim, 1.0));
    }
    all
}

/// `n` tokens without meaning: the bytes, then pairs of bytes, then triples, each with the merge that makes it.
fn vocabulary(n: usize) -> Vocabulary {
    let mut tokens = byte_level_vocab(&[]);
    let mut merges = Vec::new();
    while tokens.len() < n {
        // Token 256 + i is token i / 256 and the byte i % 256: first all bytes' pairs, then all pairs' triples.
        let made = tokens.len() - 256;
        let (left, right) = (tokens[made / 256].clone(), tokens[made % 256].clone());
        tokens.push(format!("{left}{right}"));
        merges.push((left, right));
    }
    tokens.truncate(n);
    Vocabulary { tokens, merges }
}

#[cfg(test)]
mod tests {
    use super::super::shapes::{self, all};
    use super::*;
    use crate::device::Device;
    use crate::format::source::BytesSource;
    use crate::model::Model;
    use crate::model::pass::{Target, causal_rows};

    /// A small model of the same make.
    fn shrunk(shape: Shape) -> Shape {
        let config = Config {
            layers: 2,
            dim: 96,
            ff: 160,
            heads: 4,
            kv_heads: 2,
            head_dim: 32,
            ..shape.config
        };
        Shape { config: Config { vocab: 700, context: 64, ..config }, ..shape }
    }

    fn bytes(shape: &Shape, ty: TensorType, seed: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut heard = Vec::new();
        let written =
            write(&mut bytes, shape, ty, seed, &mut |done, all| heard.push((done, all))).unwrap();
        assert_eq!(written, bytes.len() as u64);
        assert_eq!(heard.last(), Some(&(written, written)));
        bytes
    }

    fn load(bytes: Vec<u8>) -> Model {
        let (device, mut source) = (Device::cpu(), BytesSource::new("random.gguf", bytes));
        pollster::block_on(Model::load(&device, &mut source, &mut |_, _, _| {})).unwrap()
    }

    #[test]
    fn every_shape_loads_in_every_type_and_gives_numbers() {
        for shape in all().into_iter().map(shrunk) {
            for ty in TensorType::ALL {
                let place = format!("{} {}", shape.key, ty.name());
                let mut model = load(bytes(&shape, ty, 1));
                assert_eq!(model.config, shape.config, "{place}");
                assert_eq!(model.weights.head.is_none(), shape.tied, "{place}");
                assert_eq!(model.weights.embedding.ty, fitting(ty, 96), "{place}");
                assert_eq!(model.tokenizer.vocab_size(), 700, "{place}");
                let tokens = model.tokenizer.encode("any text at all", false);
                let last = Target { row: tokens.len() as u32 - 1, label: 0 };
                let rows = causal_rows(&tokens, 0);
                let logits = pollster::block_on(model.logits_of(&rows, &[last])).unwrap();
                let spread = logits.iter().fold(0.0f32, |most, x| most.max(x.abs()));
                assert!(logits.iter().all(|x| x.is_finite()), "{place}");
                assert!(spread > 0.1 && spread < 100.0, "{place}: logits up to {spread}");
            }
        }
    }

    #[test]
    fn the_seed_decides_every_byte() {
        let shape = shrunk(shapes::find("qwen2-0.5b").unwrap());
        let made = |seed| bytes(&shape, TensorType::Q8_0, seed);
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
    }

    #[test]
    fn the_vocabulary_has_its_size_and_no_token_twice() {
        for n in [256, 300, 70_000, 151_933] {
            let Vocabulary { tokens, merges } = vocabulary(n);
            let different: std::collections::HashSet<_> = tokens.iter().collect();
            assert_eq!((tokens.len(), different.len(), merges.len()), (n, n, n - 256));
        }
    }
}
