//! The softmax's numerator over a row, for the CPU twins of the losses.
//!
//! Invariant: the row's maximum is subtracted before exponentials are taken, so they are at most 1.

use super::lanes::{self, LANES};
use multiversion::multiversion;

/// Makes each number x of the row e^(x - max); returns the maximum and the sum of the exponentials.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub fn exp_shifted(row: &mut [f32]) -> (f32, f32) {
    let peak = lanes::max(row);
    for x in row.iter_mut() {
        *x = lanes::exp(*x - peak);
    }
    (peak, lanes::sum(row))
}

/// The maximum of the row, and the sum of e^(x - max).
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub fn peak_and_total(row: &[f32]) -> (f32, f32) {
    let peak = lanes::max(row);
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut sums = [0f32; LANES];
    for chunk in chunks {
        for i in 0..LANES {
            sums[i] += lanes::exp(chunk[i] - peak);
        }
    }
    let rest: f32 = rest.iter().map(|&x| lanes::exp(x - peak)).sum();
    (peak, lanes::sum_lanes(sums) + rest)
}
