//! Blocks of a packed matrix on the CPU: their values, and a row's product with a vector.
//!
//! Compiled for AVX-512, AVX2 and the baseline, chosen when it runs. It knows nothing of matrices beyond the device
//! layout of `pack`. Invariant: the order of the sums depends only on the row's length and on the instruction set, never
//! on threads.

use super::TensorType;
use super::float16::f16_to_f32;
use super::stretch::{Planes, STRETCH, Stretch};
use multiversion::multiversion;

const LANES: usize = 16;

/// The values of the blocks of 32 elements from block `first` on, as many as fill `out`; blocks are counted over the
/// rows, which follow each other without gaps.
///
/// Panics where a block lies outside, or `out` is no multiple of 32 (K types: and `first` no multiple of 8 or `out` of 256).
pub fn dequantize_blocks(planes: &Planes<'_>, first: usize, out: &mut [f32]) {
    let n = out.len() / 32;
    dequantize_columns(planes, [first, n, n], out);
}

/// The same of several rows' columns: `n` blocks of each row, the first row's from block `first` on, each next one's `step`
/// blocks behind, one after another.
pub fn dequantize_columns(planes: &Planes<'_>, [first, n, step]: [usize; 3], out: &mut [f32]) {
    let (out, rest) = out.as_chunks_mut::<32>();
    assert!(rest.is_empty(), "values come in blocks of 32");
    let whole = planes.ty.block_len() / 32;
    let cut = [first, n, step].into_iter().any(|blocks| blocks % whole.max(1) != 0);
    assert!(!cut, "blocks of 256 are not cut");
    if n == 0 {
        return;
    }
    let rows = out.chunks_mut(n).enumerate().map(|(row, out)| (first + row * step, out));
    match planes.ty {
        TensorType::F32 => rows.for_each(|(first, out)| {
            let words = &planes.words[32 * first..][..32 * out.len()];
            out.as_flattened_mut().copy_from_slice(bytemuck::cast_slice(words));
        }),
        TensorType::F16 => {
            rows.for_each(|(first, out)| from_halves(halves(planes, first, out.len()), out));
        }
        TensorType::BF16 => {
            rows.for_each(|(first, out)| from_brains(halves(planes, first, out.len()), out));
        }
        _ => from_quants(planes, [first, n, step], out),
    }
}

/// The product of the blocks of one row, from block `first` on, with `x`.
///
/// Panics as [`dequantize_blocks`] does.
pub fn dot(planes: &Planes<'_>, first: usize, x: &[[f32; 32]]) -> f32 {
    match planes.ty {
        TensorType::F32 => {
            dot_f32(bytemuck::cast_slice(&planes.words[32 * first..][..32 * x.len()]), x)
        }
        TensorType::F16 => dot_halves(halves(planes, first, x.len()), x),
        TensorType::BF16 => dot_brains(halves(planes, first, x.len()), x),
        _ => dot_quants(planes, first, x),
    }
}

fn halves<'a>(planes: &Planes<'a>, first: usize, n: usize) -> &'a [[u16; 32]] {
    bytemuck::cast_slice(&planes.words[16 * first..][..16 * n])
}

#[inline(always)]
fn brain_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn from_halves(halves: &[[u16; 32]], out: &mut [[f32; 32]]) {
    for (out, halves) in out.iter_mut().zip(halves) {
        for i in 0..32 {
            out[i] = f16_to_f32(halves[i]);
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn from_brains(halves: &[[u16; 32]], out: &mut [[f32; 32]]) {
    for (out, halves) in out.iter_mut().zip(halves) {
        for i in 0..32 {
            out[i] = brain_to_f32(halves[i]);
        }
    }
}

/// Short rows share a stretch, so that its loops are worth their calls.
fn from_quants(planes: &Planes, [first, n, step]: [usize; 3], out: &mut [[f32; 32]]) {
    let mut stretch = Stretch::default();
    for (i, out) in out.chunks_mut(STRETCH).enumerate() {
        let mut held = 0;
        while held < out.len() {
            let at = i * STRETCH + held;
            let (row, col) = (at / n, at % n);
            let run = (n - col).min(out.len() - held);
            stretch.read(planes, first + row * step + col, held..held + run);
            held += run;
        }
        values(&stretch.q, &stretch.step, &stretch.offset, out);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn values(q: &[[i8; 32]], step: &[[f32; 2]], offset: &[f32], out: &mut [[f32; 32]]) {
    for (out, ((q, step), offset)) in out.iter_mut().zip(q.iter().zip(step).zip(offset)) {
        let (out, q) = (out.as_chunks_mut::<LANES>().0, q.as_chunks::<LANES>().0);
        for half in 0..2 {
            for i in 0..LANES {
                out[half][i] = f32::from(q[half][i]) * step[half] + offset;
            }
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
fn dot_halves(row: &[[u16; 32]], x: &[[f32; 32]]) -> f32 {
    let mut sums = [0f32; 32];
    for (row, x) in row.iter().zip(x) {
        for i in 0..32 {
            sums[i] += f16_to_f32(row[i]) * x[i];
        }
    }
    sums.iter().sum()
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn dot_brains(row: &[[u16; 32]], x: &[[f32; 32]]) -> f32 {
    let mut sums = [0f32; 32];
    for (row, x) in row.iter().zip(x) {
        for i in 0..32 {
            sums[i] += brain_to_f32(row[i]) * x[i];
        }
    }
    sums.iter().sum()
}

fn dot_quants(planes: &Planes, first: usize, x: &[[f32; 32]]) -> f32 {
    let mut stretch = Stretch::default();
    let mut sums = [0f32; LANES];
    for (i, x) in x.chunks(STRETCH).enumerate() {
        stretch.read(planes, first + i * STRETCH, 0..x.len());
        add_products(&stretch.q, &stretch.step, &stretch.offset, x, &mut sums);
    }
    sums.iter().sum()
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn add_products(
    q: &[[i8; 32]],
    step: &[[f32; 2]],
    offset: &[f32],
    x: &[[f32; 32]],
    sums: &mut [f32; LANES],
) {
    let mut lanes = *sums;
    for (x, ((q, step), offset)) in x.iter().zip(q.iter().zip(step).zip(offset)) {
        let (x, q) = (x.as_chunks::<LANES>().0, q.as_chunks::<LANES>().0);
        for i in 0..LANES {
            let (low, high) = (f32::from(q[0][i]) * step[0], f32::from(q[1][i]) * step[1]);
            lanes[i] += (low + offset) * x[0][i] + (high + offset) * x[1][i];
        }
    }
    *sums = lanes;
}
