//! An adapter's factors as decoding reads them, and what the CPU twins compute with them for one row.
//!
//! The adapter's flat f32 buffer is many bytes beside quantized weights, so decoding reads a copy in half floats that
//! [`super::lora_pack`] makes. u = A x travels behind the row that it was made with: behind y where both came out of one
//! dispatch, behind x as shares of the sum where x came out of several workgroups.

use super::lanes::{LANES, sum_lanes};
use crate::device::View;
use crate::quant::float16::finite_f16;
use multiversion::multiversion;

/// A or B of the matrices of one dispatch.
#[derive(Clone, Copy)]
pub struct Factors<'a> {
    /// The copy.
    pub halves: &'a View,
    /// Ranks in the copy: the adapter's, rounded up to a multiple of 4.
    pub rank: usize,
    /// Where each matrix's factor starts, in fours of half floats; zero where there are fewer matrices.
    pub at: [usize; 3],
    /// What the outputs are multiplied with, if anything.
    pub outputs: Option<OutputFactors>,
}

/// What each matrix's outputs are multiplied with, beside the factors and in f32.
#[derive(Clone, Copy)]
pub struct OutputFactors {
    /// Where each matrix's start, in fours of half floats.
    pub at: [usize; 3],
    /// Is the bias one of the terms that are multiplied? It is in (IA)³, and is not in DoRA.
    pub biased: bool,
}

/// The params of what outputs are multiplied with: three starts, then 0 for nothing, 1 for before the bias, 2 for after.
pub(super) fn output_params(factors: Option<Factors<'_>>) -> [u32; 4] {
    let Some(outputs) = factors.and_then(|factors| factors.outputs) else { return [0; 4] };
    let [first, second, third] = outputs.at.map(|at| at as u32);
    [first, second, third, if outputs.biased { 2 } else { 1 }]
}

/// What the outputs of matrix `i` are multiplied with, from its first on.
pub(super) fn outputs_of(lora: &[f32], params: [u32; 4], i: usize) -> Option<&[f32]> {
    (params[3] > 0).then(|| &lora[2 * params[i] as usize..])
}

/// y = c ∘ y.
pub(super) fn multiply(c: Option<&[f32]>, y: &mut [f32]) {
    y.iter_mut().zip(c.unwrap_or(&[])).for_each(|(y, c)| *y *= c);
}

/// The ranks, 0 where there is no adapter.
pub(super) fn rank(factors: Option<Factors<'_>>) -> usize {
    factors.map_or(0, |factors| factors.rank)
}

/// Where the factors start, for params.
pub(super) fn starts(factors: Option<Factors<'_>>) -> [u32; 3] {
    factors.map_or([0; 3], |factors| factors.at.map(|at| at as u32))
}

/// What to bind for the factors: an input that is there anyway where there is no adapter.
pub(super) fn view<'a>(factors: Option<Factors<'a>>, or: &'a View) -> &'a View {
    factors.map_or(or, |factors| factors.halves)
}

/// `out[j] = Σ_c x[c] a[j, c]`; the rows of a are `stride` elements apart.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub(super) fn times_a(a: &[u16], stride: usize, x: &[f32], out: &mut [f32]) {
    for (j, out) in out.iter_mut().enumerate() {
        let (a_lanes, a_rest) = a[j * stride..][..x.len()].as_chunks::<LANES>();
        let (x_lanes, x_rest) = x.as_chunks::<LANES>();
        let mut sums = [0f32; LANES];
        for (a, x) in a_lanes.iter().zip(x_lanes) {
            for l in 0..LANES {
                sums[l] += finite_f16(a[l]) * x[l];
            }
        }
        let rest: f32 = a_rest.iter().zip(x_rest).map(|(a, x)| finite_f16(*a) * x).sum();
        *out = sum_lanes(sums) + rest;
    }
}

/// Each number of u four times, as [`add_b`] wants it.
pub(super) fn spread(u: &[f32]) -> Vec<f32> {
    u.iter().flat_map(|u| [*u; 4]).collect()
}

/// u as the sum of its shares `[.., rank]`, spread.
pub(super) fn spread_shares(shares: &[f32], rank: usize) -> Vec<f32> {
    let mut u = vec![0.0; rank];
    for share in shares.chunks_exact(rank) {
        u.iter_mut().zip(share).for_each(|(u, share)| *u += share);
    }
    spread(&u)
}

/// `y[n] += Σ_j u[j] b[n / 4, j, n % 4]`, u [`spread`]; y's length is a multiple of 4.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub(super) fn add_b(b: &[u16], u: &[f32], y: &mut [f32]) {
    let u = u.as_chunks::<LANES>().0;
    let fours = y.as_chunks_mut::<4>().0;
    for (y, b) in fours.iter_mut().zip(b.as_chunks::<LANES>().0.chunks_exact(u.len())) {
        let mut sums = [0f32; LANES];
        for (b, u) in b.iter().zip(u) {
            for l in 0..LANES {
                sums[l] += finite_f16(b[l]) * u[l];
            }
        }
        // Through memory, or the compiler cuts the loop above into vectors of four.
        let sums = std::hint::black_box(sums);
        for l in 0..4 {
            y[l] += (sums[l] + sums[l + 4]) + (sums[l + 8] + sums[l + 12]);
        }
    }
}
