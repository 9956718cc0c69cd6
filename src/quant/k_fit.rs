//! Choosing the scales of a K-quant block: for each part of a block, the step (and minimum) of
//! least weighted squared error among a few dozen candidates.
//!
//! As in ggml's reference, a candidate is a trial step; the numbers are rounded with it, and for
//! these roundings the best step (and minimum) is solved in closed form. Larger elements weigh more.
//! It knows no bytes. Invariant: the result is never worse, in the weighted error, than the plain
//! spread of the range over the levels.

use super::k_scales::{Head, PARTS};
use half::f16;

/// A fitted block: what its head holds, and the quants in the order of elements.
pub struct AffineBlock {
    /// Scales and minima.
    pub head: Head,
    /// Numbers of 0 to the highest level.
    pub q: [u8; 256],
}

/// Fits `q * step - min` with steps and minima of six bits to 256 values; `levels` is the highest
/// quant, 15 or 31.
pub fn affine_block(x: &[f32; 256], levels: f32) -> AffineBlock {
    let parts = x.as_chunks::<32>().0;
    let (mut steps, mut mins) = ([0f32; PARTS], [0f32; PARTS]);
    for (j, part) in parts.iter().enumerate() {
        (steps[j], mins[j]) = affine_part(part, levels);
    }
    let (d, scales) = six_bits(&steps);
    let (dmin, min_scales) = six_bits(&mins);
    let head = Head { d, dmin, scales, mins: min_scales };
    let mut q = [0; 256];
    for (j, (part, q)) in parts.iter().zip(q.as_chunks_mut::<32>().0).enumerate() {
        let (step, min) = head.part(j);
        let inverse = reciprocal(step);
        *q = part.map(|x| ((x + min) * inverse).round_ties_even().clamp(0.0, levels) as u8);
    }
    AffineBlock { head, q }
}

/// The unit, as a half float would hold it, and the multiples of it nearest to `values`, at most 63.
fn six_bits(values: &[f32; PARTS]) -> (f32, [u8; PARTS]) {
    let most = values.iter().fold(0f32, |most, value| most.max(*value));
    let inverse = reciprocal(most / 63.0);
    let multiples = values.map(|value| (value * inverse).round_ties_even().clamp(0.0, 63.0) as u8);
    (f16::from_f32(most / 63.0).to_f32(), multiples)
}

/// Step and minimum (both at least 0) of 32 values.
fn affine_part(x: &[f32; 32], levels: f32) -> (f32, f32) {
    let (mut low, mut high, mut squares) = (0f32, f32::MIN, 0f32);
    for &x in x {
        (low, high, squares) = (low.min(x), high.max(x), squares + x * x);
    }
    if high <= low {
        return (0.0, -low);
    }
    let mean = (squares / 32.0).sqrt();
    let weights = x.map(|x| mean + x.abs());
    let plain = (high - low) / levels;
    let mut best = (plain, -low);
    let mut least = affine_error(x, &weights, best, round(x, low, 1.0 / plain, levels));
    for trial in -10..=10 {
        let inverse = (levels + 0.1 * trial as f32) / (high - low);
        let q = round(x, low, inverse, levels);
        let Some(solved) = solve(x, &weights, &q) else { continue };
        let error = affine_error(x, &weights, solved, q);
        if error < least {
            (best, least) = (solved, error);
        }
    }
    best
}

fn round(x: &[f32; 32], low: f32, inverse: f32, levels: f32) -> [f32; 32] {
    x.map(|x| ((x - low) * inverse).round_ties_even().clamp(0.0, levels))
}

/// The step and minimum of least squares for these quants; none where the step is not determined.
fn solve(x: &[f32; 32], weights: &[f32; 32], q: &[f32; 32]) -> Option<(f32, f32)> {
    let [mut w, mut wx, mut wq, mut wqq, mut wqx] = [0f32; 5];
    for i in 0..32 {
        w += weights[i];
        wx += weights[i] * x[i];
        wq += weights[i] * q[i];
        wqq += weights[i] * q[i] * q[i];
        wqx += weights[i] * q[i] * x[i];
    }
    let determinant = w * wqq - wq * wq;
    if determinant <= 0.0 {
        return None;
    }
    let offset = (wqq * wx - wq * wqx) / determinant;
    // The format can only subtract; without an offset the step stands alone.
    let solved = match offset > 0.0 {
        true => (wqx / wqq, 0.0),
        false => ((w * wqx - wq * wx) / determinant, -offset),
    };
    (solved.0 > 0.0).then_some(solved)
}

fn affine_error(x: &[f32; 32], weights: &[f32; 32], (step, min): (f32, f32), q: [f32; 32]) -> f32 {
    let mut error = 0.0;
    for i in 0..32 {
        let difference = step * q[i] - min - x[i];
        error += weights[i] * difference * difference;
    }
    error
}

/// The step of 16 values for quants of -32 to 31, with either sign: the end of larger magnitude gets
/// the longer side.
pub fn symmetric_part(x: &[f32; 16]) -> f32 {
    let mut extreme = 0f32;
    for &x in x {
        extreme = if x.abs() > extreme.abs() { x } else { extreme };
    }
    if extreme == 0.0 {
        return 0.0;
    }
    let (mut best, mut least) = (0.0, f32::MAX);
    for trial in -9..=9 {
        let inverse = -(32.0 + 0.1 * trial as f32) / extreme;
        let q = x.map(|x| (x * inverse).round_ties_even().clamp(-32.0, 31.0));
        let (mut wqx, mut wqq) = (0f32, 0f32);
        for i in 0..16 {
            wqx += x[i] * x[i] * q[i] * x[i];
            wqq += x[i] * x[i] * q[i] * q[i];
        }
        if wqq <= 0.0 {
            continue;
        }
        // Both the trial step and the one solved for its roundings are candidates.
        for step in [wqx / wqq, 1.0 / inverse] {
            let mut error = 0.0;
            for i in 0..16 {
                let difference = step * q[i] - x[i];
                error += x[i] * x[i] * difference * difference;
            }
            if error < least {
                (best, least) = (step, error);
            }
        }
    }
    best
}

/// 1 / x; 0 for a step of zero, so that everything rounds to the middle.
pub fn reciprocal(x: f32) -> f32 {
    if x != 0.0 { 1.0 / x } else { 0.0 }
}
