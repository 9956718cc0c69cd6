//! Blocks of a packed matrix in one form for every quantized type: signed bytes, a step and an offset.
//!
//! An element is `q * step + offset`. Bringing nibbles and upper bits to bytes first, and only then bytes to floats, makes
//! two plain loops of each type, which the compiler turns into vector code; in one loop it does not (13 against 3 ns a
//! block, `bench/LOG.md`). It knows the device layout of `pack` and no threads. Invariant: `q * step + offset` is the
//! file's value bit for bit, so the offset of a type without one is -0.0, which changes no number.

use super::TensorType;
use super::float16::f16_to_f32;
use super::k_scales::Head;
use multiversion::multiversion;
use std::ops::Range;

/// Blocks taken at once: two of the K types'. Their bytes stay in a few registers' reach, the first-level cache.
pub const STRETCH: usize = 16;

/// A packed matrix part to read.
#[derive(Clone, Copy)]
pub struct Planes<'a> {
    /// The type.
    pub ty: TensorType,
    /// All planes, as `pack` orders them.
    pub words: &'a [u32],
    /// Word index of the scales.
    pub scales_at: usize,
}

/// Up to [`STRETCH`] blocks of 32 elements.
pub struct Stretch {
    /// The quants in the order of the elements.
    pub q: [[i8; 32]; STRETCH],
    /// The step of each half of a block: only Q6_K has two.
    pub step: [[f32; 2]; STRETCH],
    /// What is added to `q * step`.
    pub offset: [f32; STRETCH],
}

impl Default for Stretch {
    fn default() -> Stretch {
        Stretch { q: [[0; 32]; STRETCH], step: [[0.0; 2]; STRETCH], offset: [-0.0; STRETCH] }
    }
}

impl Stretch {
    /// Reads blocks of a quantized type from block `first` on into the places `to`. All are multiples of 8 for the K types,
    /// whose blocks of 256 share a head. Panics where a block lies outside, or the type is one of floats.
    pub fn read(&mut self, planes: &Planes<'_>, first: usize, to: Range<usize>) {
        let (words, at, n) = (planes.words, planes.scales_at, to.len());
        let nibbles = || bytemuck::cast_slice::<u32, [u8; 16]>(&words[4 * first..][..4 * n]);
        let fifths = || bytemuck::cast_slice::<u32, [u8; 4]>(&words[at / 5 * 4 + first..][..n]);
        let halves = || &bytemuck::cast_slice::<u32, u16>(&words[at..])[first..][..n];
        let pairs = || bytemuck::cast_slice::<u32, [u16; 2]>(&words[at + first..][..n]);
        // Half a word a block: a head of 16 bytes, or 16 scales, for each 8.
        let heads = || &words[at + first / 2..][..n / 2];
        let (q, steps) = (&mut self.q[to.clone()], &mut self.step[to.clone()]);
        let offsets = &mut self.offset[to];
        match planes.ty {
            TensorType::Q4_0 => {
                put_nibbles(q, nibbles(), 8);
                put_steps(steps, halves());
            }
            TensorType::Q4_1 => {
                put_nibbles(q, nibbles(), 0);
                put_steps_and_offsets(steps, offsets, pairs());
            }
            TensorType::Q5_0 => {
                put_nibbles(q, nibbles(), 16);
                add_fifth_bits(q, fifths());
                put_steps(steps, halves());
            }
            TensorType::Q5_1 => {
                put_nibbles(q, nibbles(), 0);
                add_fifth_bits(q, fifths());
                put_steps_and_offsets(steps, offsets, pairs());
            }
            TensorType::Q8_0 => {
                let bytes = bytemuck::cast_slice(&words[8 * first..][..8 * n]);
                q.copy_from_slice(bytes);
                put_steps(steps, halves());
            }
            TensorType::Q4K => {
                put_nibbles(q, nibbles(), 0);
                put_heads(steps, offsets, bytemuck::cast_slice(heads()));
            }
            TensorType::Q5K => {
                put_nibbles(q, nibbles(), 0);
                add_fifth_bits(q, fifths());
                put_heads(steps, offsets, bytemuck::cast_slice(heads()));
            }
            TensorType::Q6K => {
                let total = at / 6;
                put_nibbles(q, nibbles(), 32);
                let bits = &words[4 * total + 2 * first..][..2 * n];
                add_upper_pairs(q, bytemuck::cast_slice(bits));
                let d = bytemuck::cast_slice::<u32, u16>(&words[at + total / 2..]);
                put_steps_of_16(steps, bytemuck::cast_slice(heads()), &d[first / 8..][..n / 8]);
            }
            TensorType::F32 | TensorType::F16 | TensorType::BF16 => unreachable!("no quants"),
        }
    }
}

/// q = nibble - `less`: byte i holds elements i and i + 16.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn put_nibbles(q: &mut [[i8; 32]], nibbles: &[[u8; 16]], less: i8) {
    for (q, bytes) in q.iter_mut().zip(nibbles) {
        for i in 0..16 {
            q[i] = (bytes[i] & 15) as i8 - less;
            q[i + 16] = (bytes[i] >> 4) as i8 - less;
        }
    }
}

/// q += 16 where the element's bit is set.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn add_fifth_bits(q: &mut [[i8; 32]], bits: &[[u8; 4]]) {
    for (q, bits) in q.iter_mut().zip(bits) {
        for (q, bits) in q.as_chunks_mut::<8>().0.iter_mut().zip(bits) {
            for (i, q) in q.iter_mut().enumerate() {
                *q += if bits & (1 << i) != 0 { 16 } else { 0 };
            }
        }
    }
}

/// q += 16 times the element's two bits: byte k has those of elements k, k + 16, k + 8 and k + 24.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn add_upper_pairs(q: &mut [[i8; 32]], pairs: &[[u8; 8]]) {
    for (q, pairs) in q.iter_mut().zip(pairs) {
        for k in 0..8 {
            q[k] += ((pairs[k] & 3) << 4) as i8;
            q[k + 8] += ((pairs[k] >> 4 & 3) << 4) as i8;
            q[k + 16] += ((pairs[k] >> 2 & 3) << 4) as i8;
            q[k + 24] += ((pairs[k] >> 6) << 4) as i8;
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn put_steps(steps: &mut [[f32; 2]], halves: &[u16]) {
    for (step, half) in steps.iter_mut().zip(halves) {
        *step = [f16_to_f32(*half); 2];
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn put_steps_and_offsets(steps: &mut [[f32; 2]], offsets: &mut [f32], pairs: &[[u16; 2]]) {
    for ((step, offset), pair) in steps.iter_mut().zip(offsets).zip(pairs) {
        *step = [f16_to_f32(pair[0]); 2];
        *offset = f16_to_f32(pair[1]);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn put_heads(steps: &mut [[f32; 2]], offsets: &mut [f32], heads: &[[u8; 16]]) {
    let parts = steps.as_chunks_mut::<8>().0.iter_mut();
    let parts = parts.zip(offsets.as_chunks_mut::<8>().0);
    for ((steps, offsets), head) in parts.zip(heads) {
        let head = Head::read(head);
        for j in 0..8 {
            let (step, min) = head.part(j);
            (steps[j], offsets[j]) = ([step; 2], -min);
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn put_steps_of_16(steps: &mut [[f32; 2]], scales: &[[[i8; 2]; 8]], d: &[u16]) {
    let parts = steps.as_chunks_mut::<8>().0.iter_mut();
    for ((steps, scales), d) in parts.zip(scales).zip(d) {
        let d = f16_to_f32(*d);
        for j in 0..8 {
            steps[j] = scales[j].map(|scale| d * f32::from(scale));
        }
    }
}
