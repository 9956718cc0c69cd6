//! Rows of packed BF16, Q5_0 and Q5_1 matrices on the CPU, beside the types of `rows`.
//!
//! Written like those: arrays of 16 lanes that the compiler turns into vector code, compiled for
//! several instruction sets. The fifth bits are shifted lane by lane out of a block's word. Knows
//! only the layout of `pack`. Invariant: the order of sums depends on `cols` and instruction set
//! alone.

use super::float16::f16_to_f32;
use multiversion::multiversion;

const LANES: usize = 16;

/// A row of blocks with 5-bit quants: nibbles and fifth bits.
#[derive(Clone, Copy)]
pub struct Quants<'a> {
    /// 16 bytes a block.
    pub nibbles: &'a [[u8; 16]],
    /// A word a block.
    pub fifth: &'a [u32],
}

/// The quants of row `row` of a part whose scales start at word `at`, after five words a block.
pub fn row_quants(words: &[u32], at: usize, n_blocks: usize, row: usize) -> Quants<'_> {
    let total = at / 5;
    Quants {
        nibbles: bytemuck::cast_slice(&words[row * n_blocks * 4..][..n_blocks * 4]),
        fifth: &words[4 * total + row * n_blocks..][..n_blocks],
    }
}

/// Row `row` of a BF16 part.
pub fn row_bf16(words: &[u32], n_blocks: usize, row: usize) -> &[[u16; 32]] {
    bytemuck::cast_slice(&words[row * n_blocks * 16..][..n_blocks * 16])
}

fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// The two 5-bit numbers of lane `i`: elements `i` and `i + 16`.
#[inline(always)]
pub fn lane(nibbles: &[u8; 16], fifth: u32, i: usize) -> (i32, i32) {
    let q = u32::from(nibbles[i]);
    let low = (q & 15) | (fifth >> i & 1) << 4;
    let high = (q >> 4) | (fifth >> (i + LANES) & 1) << 4;
    (low as i32, high as i32)
}

/// The values of a BF16 row.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub fn dequantize_bf16(halves: &[[u16; 32]], out: &mut [[f32; 32]]) {
    for (out, halves) in out.iter_mut().zip(halves) {
        for i in 0..32 {
            out[i] = bf16_to_f32(halves[i]);
        }
    }
}

/// The product of a BF16 row.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub fn dot_bf16(row: &[[u16; 32]], x: &[[f32; 32]]) -> f32 {
    let mut sums = [0f32; 32];
    for (row, x) in row.iter().zip(x) {
        for i in 0..32 {
            sums[i] += bf16_to_f32(row[i]) * x[i];
        }
    }
    sums.iter().sum()
}

/// The values of a Q5_0 row.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub fn dequantize_q5_0(quants: Quants, scales: &[u16], out: &mut [[f32; 32]]) {
    let blocks = quants.nibbles.iter().zip(quants.fifth).zip(scales).zip(out);
    for (((nibbles, fifth), scale), out) in blocks {
        let d = f16_to_f32(*scale);
        let (lows, highs) = out.split_at_mut(LANES);
        for i in 0..LANES {
            let (low, high) = lane(nibbles, *fifth, i);
            lows[i] = (low - 16) as f32 * d;
            highs[i] = (high - 16) as f32 * d;
        }
    }
}

/// The values of a Q5_1 row.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub fn dequantize_q5_1(quants: Quants, scales: &[[u16; 2]], out: &mut [[f32; 32]]) {
    let blocks = quants.nibbles.iter().zip(quants.fifth).zip(scales).zip(out);
    for (((nibbles, fifth), scale), out) in blocks {
        let (d, m) = (f16_to_f32(scale[0]), f16_to_f32(scale[1]));
        let (lows, highs) = out.split_at_mut(LANES);
        for i in 0..LANES {
            let (low, high) = lane(nibbles, *fifth, i);
            lows[i] = low as f32 * d + m;
            highs[i] = high as f32 * d + m;
        }
    }
}

/// The product of a Q5_0 row.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub fn dot_q5_0(quants: Quants, scales: &[u16], x: &[[f32; 32]]) -> f32 {
    let mut sums = [0f32; LANES];
    let blocks = quants.nibbles.iter().zip(quants.fifth).zip(scales).zip(x);
    for (((nibbles, fifth), scale), x) in blocks {
        let d = f16_to_f32(*scale);
        for i in 0..LANES {
            let (low, high) = lane(nibbles, *fifth, i);
            sums[i] += d * ((low - 16) as f32 * x[i] + (high - 16) as f32 * x[i + LANES]);
        }
    }
    sums.iter().sum()
}

/// The product of a Q5_1 row.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub fn dot_q5_1(quants: Quants, scales: &[[u16; 2]], x: &[[f32; 32]]) -> f32 {
    let mut sums = [0f32; LANES];
    let blocks = quants.nibbles.iter().zip(quants.fifth).zip(scales).zip(x);
    for (((nibbles, fifth), scale), x) in blocks {
        let (d, m) = (f16_to_f32(scale[0]), f16_to_f32(scale[1]));
        for i in 0..LANES {
            let (low, high) = lane(nibbles, *fifth, i);
            sums[i] +=
                d * (low as f32 * x[i] + high as f32 * x[i + LANES]) + m * (x[i] + x[i + LANES]);
        }
    }
    sums.iter().sum()
}
