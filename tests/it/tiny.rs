//! A model of two layers with random weights: what it says means nothing, but it says it in a millisecond.
//!
//! It takes the same way through a GGUF file as a real one. Invariant: the same seed gives the same model.

use crate::common::Random;
use apprentice::cli::synth::{blank, bpe};
use apprentice::device::{Device, DeviceChoice};
use apprentice::format::source::{BytesSource, FileSource};
use apprentice::model::Model;
use apprentice::model::adapter::Adapter;
use apprentice::model::config::{Arch, Config};
use apprentice::model::lora::{LoraLayout, Method};
use apprentice::quant::TensorType;
use pollster::block_on;

/// Tokens of a conversation.
pub const CONTEXT: usize = 48;

/// The tiny model's file, its linears in `ty`.
pub fn file(ty: TensorType, seed: u64) -> Vec<u8> {
    file_for(ty, seed, CONTEXT)
}

/// The same for longer conversations.
pub fn file_for(ty: TensorType, seed: u64, context: usize) -> Vec<u8> {
    let vocabulary = bpe::train(["the owl, the owl and the hen", "the hen and"].into_iter(), 9, 2);
    let config = Config {
        name: "tiny".into(),
        arch: Arch::Llama,
        layers: 2,
        dim: 64,
        ff: 96,
        heads: 4,
        kv_heads: 2,
        head_dim: 16,
        vocab: blank::tokens(&vocabulary),
        context,
        rms_eps: 1e-5,
        rope_base: 10_000.0,
    };
    blank::Blank::new(config, seed).to_gguf(&vocabulary, ty)
}

/// The tiny model on `device`.
pub fn model(device: &Device, ty: TensorType, seed: u64) -> Model {
    let mut source = BytesSource::new("tiny.gguf", file(ty, seed));
    block_on(Model::load(device, &mut source, &mut |_, _, _| {})).expect("the tiny model loads")
}

/// The tiny model of another family, from `tests/arch`.
pub fn family(device: &Device, family: &str) -> Model {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/arch").join(family);
    let mut source = FileSource::open(&folder.join("model.gguf")).expect("the family's model");
    block_on(Model::load(device, &mut source, &mut |_, _, _| {})).expect("it loads")
}

/// An adapter that changes what a model says: no number of it is zero.
pub fn adapter(config: &Config, method: Method, rank: usize, seed: u64) -> Adapter {
    let mut random = Random(seed);
    let LoraLayout { rank, len, .. } = LoraLayout::new(config, method, rank);
    let mut weights = vec![0.0; len];
    weights.fill_with(|| 0.2 * random.float());
    Adapter { method, rank, alpha: rank as f32, weights }
}

/// The CPU device, and the GPU.
pub fn devices() -> [Device; 2] {
    let gpu = block_on(Device::open(DeviceChoice::Gpu)).expect("a GPU adapter (lavapipe will do)");
    [Device::cpu(), gpu]
}
