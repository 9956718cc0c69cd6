//! Rows of packed Q4_K, Q5_K and Q6_K matrices on the CPU, beside the types of `rows`.
//!
//! A row is a whole number of blocks of 256 elements, each eight parts of 32 that lie as in the
//! smaller types; a part's step and minimum come from the block's head. Knows only the layout of
//! `pack`. Invariant: the order of sums depends on `cols` and instruction set alone.

use super::float16::f16_to_f32;
use super::k_scales::Head;
use super::rows_q5::{Quants, lane};
use multiversion::multiversion;

const LANES: usize = 16;

/// The nibbles of row `row`, 16 bytes a part, as blocks.
pub fn row_nibbles(words: &[u32], n_parts: usize, row: usize) -> &[[[u8; 16]; 8]] {
    bytemuck::cast_slice(&words[row * n_parts * 4..][..n_parts * 4])
}

/// The heads of row `row` of a Q4_K or Q5_K part.
pub fn row_heads(words: &[u32], at: usize, n_parts: usize, row: usize) -> &[[u8; 16]] {
    bytemuck::cast_slice(&words[at + row * n_parts / 2..][..n_parts / 2])
}

/// A row of Q6_K blocks.
#[derive(Clone, Copy)]
pub struct SixBits<'a> {
    nibbles: &'a [[[u8; 16]; 8]],
    pairs: &'a [[[u8; 8]; 8]],
    scales: &'a [[[i8; 2]; 8]],
    d: &'a [u16],
}

/// Row `row` of a Q6_K part whose scales start at word `at`, after six words a part of 32.
pub fn row_q6_k(words: &[u32], at: usize, n_parts: usize, row: usize) -> SixBits<'_> {
    let total = at / 6;
    let n_blocks = n_parts / 8;
    let pairs = &words[4 * total + 2 * row * n_parts..][..2 * n_parts];
    let d: &[u16] = bytemuck::cast_slice(&words[at + total / 2..]);
    SixBits {
        nibbles: row_nibbles(words, n_parts, row),
        pairs: bytemuck::cast_slice(pairs),
        scales: bytemuck::cast_slice(&words[at + row * n_parts / 2..][..n_parts / 2]),
        d: &d[row * n_blocks..][..n_blocks],
    }
}

/// The 32 numbers of a Q6_K part, less 32: elements 0..16, then 16..32.
#[inline(always)]
fn six_bit_lanes(nibbles: &[u8; 16], pairs: &[u8; 8]) -> [[f32; LANES]; 2] {
    let mut q = [[0f32; LANES]; 2];
    for i in 0..LANES {
        let pair = i32::from(pairs[i % 8]) >> (4 * (i / 8));
        let nibble = i32::from(nibbles[i]);
        q[0][i] = (((nibble & 15) | (pair & 3) << 4) - 32) as f32;
        q[1][i] = (((nibble >> 4) | (pair >> 2 & 3) << 4) - 32) as f32;
    }
    q
}

/// The values of a Q4_K row.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub fn dequantize_q4_k(nibbles: &[[[u8; 16]; 8]], heads: &[[u8; 16]], out: &mut [[f32; 32]]) {
    for ((nibbles, head), out) in nibbles.iter().zip(heads).zip(out.as_chunks_mut::<8>().0) {
        let head = Head::read(head);
        for j in 0..8 {
            let (step, min) = head.part(j);
            let (lows, highs) = out[j].split_at_mut(LANES);
            for i in 0..LANES {
                let q = u32::from(nibbles[j][i]);
                lows[i] = step * (q & 15) as i32 as f32 - min;
                highs[i] = step * (q >> 4) as i32 as f32 - min;
            }
        }
    }
}

/// The values of a Q5_K row.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub fn dequantize_q5_k(quants: Quants, heads: &[[u8; 16]], out: &mut [[f32; 32]]) {
    let parts = quants.nibbles.as_chunks::<8>().0.iter().zip(quants.fifth.as_chunks::<8>().0);
    for (((nibbles, fifth), head), out) in parts.zip(heads).zip(out.as_chunks_mut::<8>().0) {
        let head = Head::read(head);
        for j in 0..8 {
            let (step, min) = head.part(j);
            let (lows, highs) = out[j].split_at_mut(LANES);
            for i in 0..LANES {
                let (low, high) = lane(&nibbles[j], fifth[j], i);
                lows[i] = step * low as f32 - min;
                highs[i] = step * high as f32 - min;
            }
        }
    }
}

/// The values of a Q6_K row.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub fn dequantize_q6_k(row: SixBits, out: &mut [[f32; 32]]) {
    let bits = row.nibbles.iter().zip(row.pairs);
    let blocks = bits.zip(row.scales).zip(row.d).zip(out.as_chunks_mut::<8>().0);
    for ((((nibbles, pairs), scales), d), out) in blocks {
        let d = f16_to_f32(*d);
        for j in 0..8 {
            let q = six_bit_lanes(&nibbles[j], &pairs[j]);
            let steps = scales[j].map(|scale| d * f32::from(scale));
            let (lows, highs) = out[j].split_at_mut(LANES);
            for i in 0..LANES {
                lows[i] = steps[0] * q[0][i];
                highs[i] = steps[1] * q[1][i];
            }
        }
    }
}

/// The product of a Q4_K row.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub fn dot_q4_k(nibbles: &[[[u8; 16]; 8]], heads: &[[u8; 16]], x: &[[f32; 32]]) -> f32 {
    let mut sums = [0f32; LANES];
    for ((nibbles, head), x) in nibbles.iter().zip(heads).zip(x.as_chunks::<8>().0) {
        let head = Head::read(head);
        for j in 0..8 {
            let (step, min) = head.part(j);
            for i in 0..LANES {
                let q = u32::from(nibbles[j][i]);
                let (low, high) = ((q & 15) as i32 as f32, (q >> 4) as i32 as f32);
                let (a, b) = (x[j][i], x[j][i + LANES]);
                sums[i] += step * (low * a + high * b) - min * (a + b);
            }
        }
    }
    sums.iter().sum()
}

/// The product of a Q5_K row.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub fn dot_q5_k(quants: Quants, heads: &[[u8; 16]], x: &[[f32; 32]]) -> f32 {
    let mut sums = [0f32; LANES];
    let parts = quants.nibbles.as_chunks::<8>().0.iter().zip(quants.fifth.as_chunks::<8>().0);
    for (((nibbles, fifth), head), x) in parts.zip(heads).zip(x.as_chunks::<8>().0) {
        let head = Head::read(head);
        for j in 0..8 {
            let (step, min) = head.part(j);
            for i in 0..LANES {
                let (low, high) = lane(&nibbles[j], fifth[j], i);
                let (a, b) = (x[j][i], x[j][i + LANES]);
                sums[i] += step * (low as f32 * a + high as f32 * b) - min * (a + b);
            }
        }
    }
    sums.iter().sum()
}

/// The product of a Q6_K row.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub fn dot_q6_k(row: SixBits, x: &[[f32; 32]]) -> f32 {
    let mut sums = [0f32; LANES];
    let bits = row.nibbles.iter().zip(row.pairs);
    let blocks = bits.zip(row.scales).zip(row.d).zip(x.as_chunks::<8>().0);
    for ((((nibbles, pairs), scales), d), x) in blocks {
        let d = f16_to_f32(*d);
        for j in 0..8 {
            let q = six_bit_lanes(&nibbles[j], &pairs[j]);
            let steps = scales[j].map(|scale| d * f32::from(scale));
            for i in 0..LANES {
                sums[i] += steps[0] * q[0][i] * x[j][i] + steps[1] * q[1][i] * x[j][i + LANES];
            }
        }
    }
    sums.iter().sum()
}
