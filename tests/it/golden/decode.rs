//! Decoding's own pass on the GPU, token by token in every way of a one-row product: logits within the limit of the
//! many-row pass, and for 8-bit numbers how far from it they are.

use super::{Tensors, load, meta, sequences};
use apprentice::device::{Device, DeviceChoice};
use apprentice::kernels::Gemv;
use apprentice::model::tuning::Tuning;
use pollster::block_on;

/// KL of two rows of logits, nats.
fn divergence(ours: &[f32], theirs: &[f32]) -> f64 {
    let log_sum = |row: &[f32]| -> f64 {
        let top = row.iter().fold(f32::MIN, |a, b| a.max(*b));
        f64::from(top) + row.iter().map(|x| f64::from(x - top).exp()).sum::<f64>().ln()
    };
    let (a, b) = (log_sum(theirs), log_sum(ours));
    let term = |(p, q): (&f32, &f32)| {
        let (p, q) = (f64::from(*p) - a, f64::from(*q) - b);
        p.exp() * (p - q)
    };
    theirs.iter().zip(ours).map(term).sum()
}

#[test]
fn every_way_gives_pytorchs_logits() {
    let golden = Tensors::read("forward.safetensors");
    let sequences = sequences(&meta());
    let sequence = sequences.iter().min_by_key(|s| s.ids.len()).expect("a sequence");
    let gpu = block_on(Device::open(DeviceChoice::Gpu)).expect("a GPU (lavapipe will do)");
    let mut model = load(&gpu);
    let theirs = golden.get(&format!("{}.last_logits", sequence.name));
    let largest = theirs.data.iter().fold(0.0f32, |a, b| a.max(b.abs()));
    let mut plain = Vec::new();
    for gemv in Gemv::ALL {
        model.tuning = Tuning::everywhere(&gpu, gemv);
        model.clear_cache();
        let step = |model: &mut apprentice::model::Model, id: &u32| {
            block_on(model.next_logits(*id)).expect("a step")
        };
        let rows: Vec<Vec<f32>> = sequence.ids.iter().map(|id| step(&mut model, id)).collect();
        let last = rows.last().expect("a row");
        let off = last.iter().zip(&theirs.data).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
        if plain.is_empty() {
            plain = rows.clone();
        }
        let each: Vec<f64> = rows.iter().zip(&plain).map(|(a, b)| divergence(a, b)).collect();
        let mean = each.iter().sum::<f64>() / each.len() as f64;
        println!(
            "{}: off by {:.5} of the largest logit, KL from plain {mean:.2e} nats",
            gemv.name(),
            off / largest
        );
        // The many-row pass's limit on the GPU; 8 bits get their own, and are off unless asked for.
        let limit = if gemv.int8 { 5e-2 } else { 5e-3 };
        assert!(off <= limit * largest, "{}: {off} of {largest}", gemv.name());
        assert!(mean < 1e-2, "{}: {mean} nats from the plain way", gemv.name());
    }
}
