//! Rows of a packed matrix on the CPU: their values, and their product with a vector.
//!
//! These loops carry the CPU device (a token reads every weight once), so each is written over
//! arrays of 16 lanes that the compiler turns into vector code, and is compiled for AVX-512, AVX2
//! and the baseline, chosen when it runs. It knows nothing of matrices beyond the device layout of
//! `pack`. Invariant: the order of the sums depends only on `cols` and on the instruction set,
//! never on threads.

use super::TensorType;
use super::float16::f16_to_f32;
use super::{rows_k, rows_q5};
use multiversion::multiversion;

const LANES: usize = 16;
/// Blocks of a row whose scales are f32 at once: converted together they are vector code.
const STRETCH: usize = 64;

/// The `cols` values of row `row` into `out`.
///
/// `words` and `scales_at` are a packed matrix part's. Panics where the row lies outside.
pub fn dequantize_row(
    ty: TensorType,
    words: &[u32],
    scales_at: usize,
    cols: usize,
    row: usize,
    out: &mut [f32],
) {
    assert_eq!(out.len(), cols, "one value a column");
    let n_blocks = cols / 32;
    let out = out.as_chunks_mut().0;
    match ty {
        TensorType::F32 => out.as_flattened_mut().copy_from_slice(row_f32(words, n_blocks, row)),
        TensorType::F16 => dequantize_f16(row_f16(words, n_blocks, row), out),
        TensorType::Q4_0 => {
            let (quants, scales) = row_q4_0(words, scales_at, n_blocks, row);
            dequantize_q4_0(quants, scales, out);
        }
        TensorType::Q4_1 => {
            let (quants, scales) = row_q4_1(words, scales_at, n_blocks, row);
            dequantize_q4_1(quants, scales, out);
        }
        TensorType::Q8_0 => {
            let (quants, scales) = row_q8_0(words, scales_at, n_blocks, row);
            dequantize_q8_0(quants, scales, out);
        }
        TensorType::BF16 => rows_q5::dequantize_bf16(rows_q5::row_bf16(words, n_blocks, row), out),
        TensorType::Q5_0 => {
            let quants = rows_q5::row_quants(words, scales_at, n_blocks, row);
            rows_q5::dequantize_q5_0(quants, half_words(words, scales_at, n_blocks, row), out);
        }
        TensorType::Q5_1 => {
            let quants = rows_q5::row_quants(words, scales_at, n_blocks, row);
            rows_q5::dequantize_q5_1(quants, pairs(words, scales_at, n_blocks, row), out);
        }
        TensorType::Q4K => {
            let nibbles = rows_k::row_nibbles(words, n_blocks, row);
            let heads = rows_k::row_heads(words, scales_at, n_blocks, row);
            rows_k::dequantize_q4_k(nibbles, heads, out);
        }
        TensorType::Q5K => {
            let quants = rows_q5::row_quants(words, scales_at, n_blocks, row);
            let heads = rows_k::row_heads(words, scales_at, n_blocks, row);
            rows_k::dequantize_q5_k(quants, heads, out);
        }
        TensorType::Q6K => {
            rows_k::dequantize_q6_k(rows_k::row_q6_k(words, scales_at, n_blocks, row), out);
        }
    }
}

/// The product of row `row` with `x` (length `cols`).
///
/// `words` and `scales_at` are a packed matrix part's. Panics where the row lies outside.
pub fn dot_row(
    ty: TensorType,
    words: &[u32],
    scales_at: usize,
    cols: usize,
    row: usize,
    x: &[f32],
) -> f32 {
    assert_eq!(x.len(), cols, "one value a column");
    let n_blocks = cols / 32;
    let x = x.as_chunks().0;
    match ty {
        TensorType::F32 => dot_f32(row_f32(words, n_blocks, row).as_chunks().0, x),
        TensorType::F16 => dot_f16(row_f16(words, n_blocks, row), x),
        TensorType::Q4_0 => {
            let (quants, scales) = row_q4_0(words, scales_at, n_blocks, row);
            dot_q4_0(quants, scales, x)
        }
        TensorType::Q4_1 => {
            let (quants, scales) = row_q4_1(words, scales_at, n_blocks, row);
            dot_q4_1(quants, scales, x)
        }
        TensorType::Q8_0 => {
            let (quants, scales) = row_q8_0(words, scales_at, n_blocks, row);
            dot_q8_0(quants, scales, x)
        }
        TensorType::BF16 => rows_q5::dot_bf16(rows_q5::row_bf16(words, n_blocks, row), x),
        TensorType::Q5_0 => {
            let quants = rows_q5::row_quants(words, scales_at, n_blocks, row);
            rows_q5::dot_q5_0(quants, half_words(words, scales_at, n_blocks, row), x)
        }
        TensorType::Q5_1 => {
            let quants = rows_q5::row_quants(words, scales_at, n_blocks, row);
            rows_q5::dot_q5_1(quants, pairs(words, scales_at, n_blocks, row), x)
        }
        TensorType::Q4K => {
            let nibbles = rows_k::row_nibbles(words, n_blocks, row);
            rows_k::dot_q4_k(nibbles, rows_k::row_heads(words, scales_at, n_blocks, row), x)
        }
        TensorType::Q5K => {
            let quants = rows_q5::row_quants(words, scales_at, n_blocks, row);
            rows_k::dot_q5_k(quants, rows_k::row_heads(words, scales_at, n_blocks, row), x)
        }
        TensorType::Q6K => rows_k::dot_q6_k(rows_k::row_q6_k(words, scales_at, n_blocks, row), x),
    }
}

fn row_f32(words: &[u32], n_blocks: usize, row: usize) -> &[f32] {
    bytemuck::cast_slice(&words[row * n_blocks * 32..][..n_blocks * 32])
}

fn row_f16(words: &[u32], n_blocks: usize, row: usize) -> &[[u16; 32]] {
    bytemuck::cast_slice(&words[row * n_blocks * 16..][..n_blocks * 16])
}

fn row_q4_0(words: &[u32], at: usize, n_blocks: usize, row: usize) -> (&[[u8; 16]], &[u16]) {
    let quants = bytemuck::cast_slice(&words[row * n_blocks * 4..][..n_blocks * 4]);
    (quants, half_words(words, at, n_blocks, row))
}

fn row_q4_1(words: &[u32], at: usize, n_blocks: usize, row: usize) -> (&[[u8; 16]], &[[u16; 2]]) {
    let quants = bytemuck::cast_slice(&words[row * n_blocks * 4..][..n_blocks * 4]);
    (quants, pairs(words, at, n_blocks, row))
}

fn row_q8_0(words: &[u32], at: usize, n_blocks: usize, row: usize) -> (&[[i8; 32]], &[u16]) {
    let quants = bytemuck::cast_slice(&words[row * n_blocks * 8..][..n_blocks * 8]);
    (quants, half_words(words, at, n_blocks, row))
}

/// A row's scales where they are one half-word a block; a row may start in the middle of a word.
fn half_words(words: &[u32], at: usize, n_blocks: usize, row: usize) -> &[u16] {
    &bytemuck::cast_slice(&words[at..])[row * n_blocks..][..n_blocks]
}

/// A row's scales where they are a scale and a minimum a block.
fn pairs(words: &[u32], at: usize, n_blocks: usize, row: usize) -> &[[u16; 2]] {
    bytemuck::cast_slice(&words[at + row * n_blocks..][..n_blocks])
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn dequantize_f16(halves: &[[u16; 32]], out: &mut [[f32; 32]]) {
    for (out, halves) in out.iter_mut().zip(halves) {
        for i in 0..32 {
            out[i] = f16_to_f32(halves[i]);
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn dequantize_q4_0(quants: &[[u8; 16]], scales: &[u16], out: &mut [[f32; 32]]) {
    let mut d = [0f32; STRETCH];
    let stretches = quants.chunks(STRETCH).zip(scales.chunks(STRETCH));
    for (out, (quants, scales)) in out.chunks_mut(STRETCH).zip(stretches) {
        d.iter_mut().zip(scales).for_each(|(d, scale)| *d = f16_to_f32(*scale));
        for ((out, q), d) in out.iter_mut().zip(quants).zip(d) {
            let (low, high) = out.split_at_mut(LANES);
            for i in 0..LANES {
                low[i] = (i32::from(q[i] & 15) - 8) as f32 * d;
                high[i] = (i32::from(q[i] >> 4) - 8) as f32 * d;
            }
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn dequantize_q4_1(quants: &[[u8; 16]], scales: &[[u16; 2]], out: &mut [[f32; 32]]) {
    let (mut d, mut m) = ([0f32; STRETCH], [0f32; STRETCH]);
    let stretches = quants.chunks(STRETCH).zip(scales.chunks(STRETCH));
    for (out, (quants, scales)) in out.chunks_mut(STRETCH).zip(stretches) {
        for ((d, m), scale) in d.iter_mut().zip(&mut m).zip(scales) {
            (*d, *m) = (f16_to_f32(scale[0]), f16_to_f32(scale[1]));
        }
        for ((out, q), (d, m)) in out.iter_mut().zip(quants).zip(d.iter().zip(&m)) {
            let (low, high) = out.split_at_mut(LANES);
            for i in 0..LANES {
                low[i] = i32::from(q[i] & 15) as f32 * d + m;
                high[i] = i32::from(q[i] >> 4) as f32 * d + m;
            }
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn dequantize_q8_0(quants: &[[i8; 32]], scales: &[u16], out: &mut [[f32; 32]]) {
    for ((out, q), scale) in out.iter_mut().zip(quants).zip(scales) {
        let d = f16_to_f32(*scale);
        for i in 0..32 {
            out[i] = i32::from(q[i]) as f32 * d;
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn dot_f32(row: &[[f32; 32]], x: &[[f32; 32]]) -> f32 {
    let mut sums = [0f32; 32];
    for (row, x) in row.iter().zip(x) {
        for i in 0..32 {
            sums[i] += row[i] * x[i];
        }
    }
    sums.iter().sum()
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn dot_f16(row: &[[u16; 32]], x: &[[f32; 32]]) -> f32 {
    let mut sums = [0f32; 32];
    for (row, x) in row.iter().zip(x) {
        for i in 0..32 {
            sums[i] += f16_to_f32(row[i]) * x[i];
        }
    }
    sums.iter().sum()
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn dot_q4_0(quants: &[[u8; 16]], scales: &[u16], x: &[[f32; 32]]) -> f32 {
    let mut sums = [0f32; LANES];
    for ((q, scale), x) in quants.iter().zip(scales).zip(x) {
        let d = f16_to_f32(*scale);
        for i in 0..LANES {
            let low = (i32::from(q[i] & 15) - 8) as f32;
            let high = (i32::from(q[i] >> 4) - 8) as f32;
            sums[i] += d * (low * x[i] + high * x[i + LANES]);
        }
    }
    sums.iter().sum()
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn dot_q4_1(quants: &[[u8; 16]], scales: &[[u16; 2]], x: &[[f32; 32]]) -> f32 {
    let mut sums = [0f32; LANES];
    for ((q, scale), x) in quants.iter().zip(scales).zip(x) {
        let (d, m) = (f16_to_f32(scale[0]), f16_to_f32(scale[1]));
        for i in 0..LANES {
            let low = i32::from(q[i] & 15) as f32;
            let high = i32::from(q[i] >> 4) as f32;
            sums[i] += d * (low * x[i] + high * x[i + LANES]) + m * (x[i] + x[i + LANES]);
        }
    }
    sums.iter().sum()
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn dot_q8_0(quants: &[[i8; 32]], scales: &[u16], x: &[[f32; 32]]) -> f32 {
    let mut sums = [0f32; LANES];
    for ((q, scale), x) in quants.iter().zip(scales).zip(x) {
        let d = f16_to_f32(*scale);
        for i in 0..LANES {
            let (a, b) = (i32::from(q[i]) as f32, i32::from(q[i + LANES]) as f32);
            sums[i] += d * (a * x[i] + b * x[i + LANES]);
        }
    }
    sums.iter().sum()
}
