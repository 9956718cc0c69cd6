//! The trainer on a tiny model: packing and accumulation change nothing, a seed is an adapter bit for bit, and an
//! adapter that does nothing is no distance from the base.

use crate::golden::relative;
use crate::tiny;
use apprentice::device::Device;
use apprentice::model::Model;
use apprentice::model::lora::{LoraLayout, Method};
use apprentice::model::pass::{Target, causal_rows};
use apprentice::quant::TensorType;
use apprentice::train::pack::{Goal, Sequence};
use apprentice::train::{BatchLoss, Trainer};
use pollster::block_on;

const RANK: usize = 4;

fn sequence(len: u32, weight: f32) -> Sequence {
    let tokens = (0..len).map(|i| 40 + (11 * i + len) % 200).collect();
    let counted = (0..len).map(|i| i % 3 != 1).collect();
    Sequence { tokens, counted, goal: Goal::Tokens, weight }
}

fn batch() -> [Sequence; 3] {
    [sequence(9, 0.5), sequence(17, 0.3), sequence(5, 0.2)]
}

/// A model with an adapter whose B is not zero, so that every gradient is there.
fn trained(device: &Device, seed: u64) -> (Model, LoraLayout) {
    let mut model = tiny::model(device, TensorType::Q8_0, 1);
    let layout = LoraLayout::new(&model.config, Method::Lora, RANK);
    let mut adapter = layout.fresh(8.0, seed);
    let other = layout.fresh(8.0, seed + 1);
    for (weight, other) in adapter.weights.iter_mut().zip(other.weights.iter().rev()) {
        *weight += 0.1 * other;
    }
    model.set_adapter(Some(&adapter)).unwrap();
    (model, layout)
}

fn gradient(model: &Model, layout: &LoraLayout, rows: usize) -> (Vec<f32>, BatchLoss) {
    let trainer = Trainer::new(model, layout, rows).unwrap();
    trainer.zero_grad().unwrap();
    let loss = block_on(trainer.accumulate(model, &batch())).unwrap();
    (block_on(trainer.gradient()).unwrap(), loss)
}

#[test]
fn packed_or_one_by_one_is_the_same_gradient() {
    for device in tiny::devices() {
        let (model, layout) = trained(&device, 1);
        // 31 tokens: together in one pass of 32 rows, or each in a pass of its own.
        let (packed, loss) = gradient(&model, &layout, 32);
        let (alone, loss_alone) = gradient(&model, &layout, 17);
        let off = relative(&packed, &alone);
        assert!(off < 1e-5, "{}: {off}", device.kind());
        assert!((loss.tokens - loss_alone.tokens).abs() < 1e-5);
        assert_eq!((loss.rows, loss.n_tokens), (31, loss_alone.n_tokens));
        // The test sees a sequence that is left out.
        let trainer = Trainer::new(&model, &layout, 32).unwrap();
        trainer.zero_grad().unwrap();
        block_on(trainer.accumulate(&model, &batch()[..2])).unwrap();
        assert!(relative(&block_on(trainer.gradient()).unwrap(), &alone) > 1e-3);
    }
}

#[test]
fn a_seed_is_an_adapter_bit_for_bit() {
    let device = Device::cpu();
    let run = |seed| {
        let (mut model, layout) = trained(&device, seed);
        let mut trainer = Trainer::new(&model, &layout, 32).unwrap();
        for step in 0..4 {
            trainer.zero_grad().unwrap();
            block_on(trainer.accumulate(&model, &batch())).unwrap();
            block_on(trainer.step(&mut model, 1e-3 * (step + 1) as f32, 1.0)).unwrap();
        }
        block_on(model.lora().unwrap().download(&device)).unwrap().to_bytes()
    };
    assert!(run(1) == run(1), "two runs of one seed differ");
    assert!(run(1) != run(2), "two seeds give one adapter");
}

#[test]
fn a_fresh_adapter_is_no_distance_from_the_base() {
    for device in tiny::devices() {
        let mut model = tiny::model(&device, TensorType::Q8_0, 1);
        let layout = LoraLayout::new(&model.config, Method::Lora, RANK);
        let mut sequence = sequence(12, 1.0);
        let counted = (1..12).filter(|i| sequence.counted[*i]);
        let targets: Vec<Target> =
            counted.map(|i| Target { row: i as u32 - 1, label: 0 }).collect();
        let rows = causal_rows(&sequence.tokens, 0);
        sequence.goal = Goal::Base(block_on(model.normed_rows(&rows, &targets)).unwrap());
        let kl = |model: &Model| {
            let trainer = Trainer::new(model, &layout, 32).unwrap();
            trainer.zero_grad().unwrap();
            block_on(trainer.accumulate(model, std::slice::from_ref(&sequence))).unwrap().base
        };
        model.set_adapter(Some(&layout.fresh(8.0, 1))).unwrap();
        let near = kl(&model);
        assert!(near.abs() < 1e-6, "{}: {near}", device.kind());
        let (far_model, _) = trained(&device, 1);
        let far = kl(&far_model);
        assert!(far > 1e-4, "{}: an adapter that does something: {far}", device.kind());
    }
}
