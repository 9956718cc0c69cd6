//! Logits of every position: within 2e-3 of the largest magnitude on the CPU device, 5e-3 on the GPU.

use super::{Tensors, devices, load, meta, relative, sequences};
use apprentice::model::Model;
use apprentice::model::pass::{Target, causal_rows};
use pollster::block_on;

/// Logits `[tokens, vocab]` of a sequence.
pub fn logits(model: &mut Model, ids: &[u32]) -> Vec<f32> {
    let targets: Vec<Target> = (0..ids.len()).map(|i| Target { row: i as u32, label: 0 }).collect();
    block_on(model.logits_of(&causal_rows(ids, 0), &targets)).expect("a pass")
}

#[test]
fn logits_of_every_position() {
    let golden = Tensors::read("forward.safetensors");
    let sequences = sequences(&meta());
    for (device, tokens_max) in devices(&sequences) {
        let tolerance = if device.is_cpu() { 2e-3 } else { 5e-3 };
        let mut model = load(&device);
        let mut checked = 0;
        for sequence in sequences.iter().filter(|s| s.ids.len() <= tokens_max) {
            let n = sequence.ids.len();
            let all = logits(&mut model, &sequence.ids);
            let vocab = all.len() / n;
            let of = |part: &str| golden.get(&format!("{}.{part}", sequence.name));
            let tops = of("top50_logits");
            let largest = tops.data.iter().fold(0.0f32, |a, b| a.max(b.abs()));
            let limit = tolerance * largest;
            let mut worst = 0.0f32;
            let mut check = |what: &str, ours: f32, theirs: f32, limit: f32| {
                let off = (ours - theirs).abs();
                worst = worst.max(off / limit);
                assert!(
                    off <= limit,
                    "{}, {}: {what}: {ours}, not {theirs}",
                    device.kind(),
                    sequence.name
                );
            };
            let top = tops.data.len() / n;
            for (i, (id, theirs)) in of("top50_ids").data.iter().zip(&tops.data).enumerate() {
                let row = i / top;
                check(
                    &format!("row {row} id {id}"),
                    all[row * vocab + *id as usize],
                    *theirs,
                    limit,
                );
            }
            for (id, theirs) in of("last_logits").data.iter().enumerate() {
                check(&format!("last id {id}"), all[(n - 1) * vocab + id], *theirs, limit);
            }
            for (row, theirs) in of("logsumexp").data.iter().enumerate() {
                let ours = log_sum_exp(&all[row * vocab..][..vocab]);
                check(&format!("log-sum-exp of row {row}"), ours, *theirs, limit);
            }
            println!(
                "{} {}: worst {worst:.4} of the limit {limit:.4}",
                device.kind(),
                sequence.name
            );
            checked += 1;
        }
        assert!(checked > 0, "no golden sequence is short enough for the {}", device.kind());
    }
}

fn log_sum_exp(row: &[f32]) -> f32 {
    let top = row.iter().fold(f32::MIN, |a, b| a.max(*b));
    let sum: f64 = row.iter().map(|x| f64::from(x - top).exp()).sum();
    top + sum.ln() as f32
}

#[test]
fn the_relative_norm_sees_a_planted_fault() {
    let near = |a: &[f32], limit: f64| relative(a, &[1.0, 2.0]) <= limit;
    assert!(near(&[1.0, 2.0], 1e-9));
    assert!(!near(&[1.0, 2.1], 1e-2));
    assert!(!near(&[1.0, f32::NAN], 1e9));
}
