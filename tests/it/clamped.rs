//! A whole model on a GPU whose bindings are smaller than its embedding: as every WebGPU adapter has them (128 MiB), and
//! at 32 MiB; and a tiny one whose every vector is larger than a binding.
//!
//! What the CPU device computes with matrices in one piece is the reference. Invariant: each test sees that something was split.

use crate::golden::relative;
use crate::tiny;
use apprentice::cli::synth::random_model;
use apprentice::cli::synth::shapes::{self, Shape};
use apprentice::device::Device;
use apprentice::format::source::BytesSource;
use apprentice::model::Model;
use apprentice::model::config::Config;
use apprentice::model::lora::{LoraLayout, Method};
use apprentice::model::pass::{Target, causal_rows};
use apprentice::quant::TensorType;
use apprentice::train::{Goal, Sequence, Trainer};
use pollster::block_on;

/// A model with Llama 3.2 1B's vocabulary, and in `ty` 148 MB of it.
fn file(sizes: [usize; 4], ty: TensorType) -> Vec<u8> {
    let [dim, ff, heads, kv_heads] = sizes;
    let shape = shapes::find("llama-1b").unwrap();
    let (layers, context, head_dim) = (1, 64, dim / heads);
    let config =
        Config { layers, dim, ff, heads, kv_heads, head_dim, context, ..shape.config.clone() };
    let mut bytes = Vec::new();
    random_model::write(&mut bytes, &Shape { config, ..shape }, ty, 1, &mut |_, _| {}).unwrap();
    bytes
}

fn load(device: &Device, file: &[u8]) -> Model {
    let mut source = BytesSource::new("clamped.gguf", file.to_vec());
    block_on(Model::load(device, &mut source, &mut |_, _, _| {})).unwrap()
}

/// Logits of the last token.
fn logits(model: &mut Model, tokens: &[u32]) -> Vec<f32> {
    let last = Target { row: tokens.len() as u32 - 1, label: 0 };
    block_on(model.logits_of(&causal_rows(tokens, 0), &[last])).unwrap()
}

/// The gradient of all tokens but the first, and the adapter after a step with it.
fn train(model: &mut Model, tokens: &[u32]) -> [Vec<f32>; 2] {
    let layout = LoraLayout::new(&model.config, Method::Lora, 4);
    let mut adapter = layout.fresh(8.0, 1);
    let other = layout.fresh(8.0, 2);
    adapter.weights.iter_mut().zip(other.weights.iter().rev()).for_each(|(a, b)| *a += 0.1 * b);
    model.set_adapter(Some(&adapter)).unwrap();
    let mut trainer = Trainer::new(model, &layout, tokens.len()).unwrap();
    let counted = vec![true; tokens.len()];
    let sequence = Sequence { tokens: tokens.to_vec(), counted, goal: Goal::Tokens, weight: 1.0 };
    trainer.zero_grad().unwrap();
    block_on(trainer.accumulate(model, &[sequence])).unwrap();
    let gradient = block_on(trainer.gradient()).unwrap();
    block_on(trainer.step(model, 1e-2, 1.0)).unwrap();
    let trained = block_on(model.lora().unwrap().download(&model.device)).unwrap();
    [gradient, trained.weights]
}

#[track_caller]
fn same(place: &str, ours: &[f32], theirs: &[f32]) {
    let off = relative(ours, theirs);
    println!("{place}: off by {off:.1e}");
    assert!(off < 5e-3, "{place}: off by {off}");
}

/// Tokens of the first part of the vocabulary, a middle one and the last one.
const TOKENS: [u32; 4] = [5, 70_000, 128_200, 31];

#[test]
fn a_vocabulary_larger_than_a_binding_is_read_and_scored() {
    let file = file([2048, 512, 32, 8], TensorType::Q4K);
    let mut whole = load(&Device::cpu(), &file);
    assert_eq!(whole.weights.embedding.parts.len(), 1);
    let theirs = logits(&mut whole, &TOKENS);
    for (mib, parts, logit_rows) in [(128, 2, 128), (32, 5, 65)] {
        let device = block_on(Device::open_gpu_clamped(mib << 20)).unwrap();
        let mut model = load(&device, &file);
        assert_eq!(model.weights.embedding.parts.len(), parts, "{mib} MiB");
        assert_eq!(model.logit_rows(), logit_rows, "{mib} MiB");
        same(&format!("logits at {mib} MiB"), &logits(&mut model, &TOKENS), &theirs);
    }
    // The comparison sees a token of another part.
    assert!(relative(&logits(&mut whole, &[5, 5, 128_200, 31]), &theirs) > 5e-3);
}

/// In F32, of which 148 MB are few numbers: a software GPU multiplies by all of them for every token.
#[test]
fn a_vocabulary_larger_than_a_binding_is_trained_through() {
    let file = file([288, 96, 9, 3], TensorType::F32);
    let mut whole = load(&Device::cpu(), &file);
    assert_eq!(whole.weights.embedding.parts.len(), 1);
    let theirs = train(&mut whole, &TOKENS);
    for (mib, parts) in [(128, 2), (32, 5)] {
        let device = block_on(Device::open_gpu_clamped(mib << 20)).unwrap();
        let mut model = load(&device, &file);
        assert_eq!(model.weights.embedding.parts.len(), parts, "{mib} MiB");
        let [gradient, adapter] = train(&mut model, &TOKENS);
        same(&format!("gradient at {mib} MiB"), &gradient, &theirs[0]);
        same(&format!("adapter at {mib} MiB"), &adapter, &theirs[1]);
    }
}

/// Bindings of 10 KiB: the embedding, the logits of a pass, the adapter, its gradient and moments are in parts.
#[test]
fn every_vector_of_a_tiny_model_is_split() {
    let tokens: Vec<u32> = (0..10).map(|i| 40 + 19 * i).collect();
    let mut whole = tiny::model(&Device::cpu(), TensorType::Q8_0, 1);
    let device = block_on(Device::open_gpu_clamped(10 << 10)).unwrap();
    let mut model = tiny::model(&device, TensorType::Q8_0, 1);
    assert!(model.weights.embedding.parts.len() > 1);
    let [pass, few] = [model.pass_rows(), model.logit_rows()];
    assert!(pass == tokens.len() && few < tokens.len(), "{pass} rows, {few} rows of logits");
    assert!(4 * LoraLayout::new(&model.config, Method::Lora, 4).len > 2 * (10 << 10));
    same("logits", &logits(&mut model, &tokens), &logits(&mut whole, &tokens));
    let (ours, theirs) = (train(&mut model, &tokens), train(&mut whole, &tokens));
    same("gradient", &ours[0], &theirs[0]);
    same("adapter", &ours[1], &theirs[1]);
}
