//! The K-quants' search for scales against the naive scheme: the plain spread of each part's range over the levels,
//! with scales stored in the same few bits.
//!
//! The package that the other types are compared with does not write K-quants. Invariant: the naive scheme is written
//! here from the format alone and shares no code with the search.

use crate::common::Random;
use apprentice::quant::{TensorType, dequantize, quantize};
use half::f16;

/// Values like a model's: near normal, of a scale that changes from row to row, with outliers.
fn weights(seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    let mut x = Vec::new();
    for row in 0..32 {
        let scale = 0.01 * (1 << (row % 5)) as f32;
        for i in 0..256 {
            let bell = (0..6).map(|_| random.float()).sum::<f32>() / 2f32.sqrt();
            x.push(bell * scale * if i % 97 == 13 { 4.0 } else { 1.0 });
        }
    }
    x
}

fn half(x: f32) -> f32 {
    f16::from_f32(x).to_f32()
}

/// 256 values through steps and minima of six bits, each part's range spread over `levels`.
fn naive_affine(x: &[f32], levels: f32) -> Vec<f32> {
    let lows: Vec<f32> = x.chunks(32).map(|x| x.iter().fold(0f32, |a, b| a.min(*b))).collect();
    let highs = x.chunks(32).map(|x| x.iter().fold(0f32, |a, b| a.max(*b)));
    let steps: Vec<f32> = highs.zip(&lows).map(|(high, low)| (high - low) / levels).collect();
    let most = |x: &[f32]| x.iter().fold(0f32, |a, b| a.max(b.abs()));
    let (d, dmin) = (most(&steps) / 63.0, most(&lows) / 63.0);
    let parts = x.chunks(32).zip(steps.iter().zip(&lows));
    let part = |(x, (step, low)): (&[f32], (&f32, &f32))| -> Vec<f32> {
        let step = half(d) * (step / d).round();
        let min = half(dmin) * (-low / dmin).round();
        x.iter().map(|x| ((x + min) / step).round().clamp(0.0, levels) * step - min).collect()
    };
    parts.flat_map(part).collect()
}

/// 256 values through signed steps of eight bits, each part's largest magnitude at 31.
fn naive_symmetric(x: &[f32]) -> Vec<f32> {
    let most = |x: &[f32]| x.iter().fold(0f32, |a, b| a.max(b.abs()));
    let steps: Vec<f32> = x.chunks(16).map(|x| most(x) / 31.0).collect();
    let d = most(&steps) / 127.0;
    let part = |(x, step): (&[f32], &f32)| -> Vec<f32> {
        let step = half(d) * (step / d).round();
        x.iter().map(|x| (x / step).round().clamp(-32.0, 31.0) * step).collect()
    };
    x.chunks(16).zip(&steps).flat_map(part).collect()
}

fn rms(x: &[f32], y: &[f32]) -> f64 {
    let squares = x.iter().zip(y).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2));
    (squares.sum::<f64>() / x.len() as f64).sqrt()
}

#[test]
fn searched_scales_beat_the_plain_spread() {
    for seed in 1..=3 {
        let x = weights(seed);
        let size = rms(&x, &vec![0.0; x.len()]);
        let through =
            |f: &dyn Fn(&[f32]) -> Vec<f32>| x.chunks(256).flat_map(f).collect::<Vec<_>>();
        for (ty, naive) in [
            (TensorType::Q4K, through(&|x| naive_affine(x, 15.0))),
            (TensorType::Q5K, through(&|x| naive_affine(x, 31.0))),
            (TensorType::Q6K, through(&naive_symmetric)),
        ] {
            let (mut raw, mut ours) = (Vec::new(), vec![f32::NAN; x.len()]);
            quantize(ty, &x, &mut raw);
            dequantize(ty, &raw, &mut ours);
            let (ours, naive) = (rms(&x, &ours), rms(&x, &naive));
            println!("{} seed {seed}: {:.5} of naive {:.5}", ty.name(), ours / size, naive / size);
            assert!(ours <= naive, "{}: {ours:e} is above the naive {naive:e}", ty.name());
            assert!(ours / size < 0.12, "{}: a relative error of {}", ty.name(), ours / size);
        }
    }
}

#[test]
fn blocks_that_are_all_alike_survive() {
    for ty in [TensorType::Q4K, TensorType::Q5K, TensorType::Q6K] {
        for value in [0.0, 1.0, -1.0, 0.25, -250.0] {
            let x = [value; 256];
            let (mut raw, mut back) = (Vec::new(), [f32::NAN; 256]);
            quantize(ty, &x, &mut raw);
            dequantize(ty, &raw, &mut back);
            for back in back {
                // Half-float units of small numbers are subnormal, hence the absolute part.
                let tolerance = 2e-3 * value.abs() + 4e-6;
                assert!((back - value).abs() <= tolerance, "{}: {value} is {back}", ty.name());
            }
        }
    }
}
