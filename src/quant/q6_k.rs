//! Q6_K: 256 elements in 210 bytes, `(q - 32) * d s`; 128 bytes of low nibbles, 64 bytes of upper
//! pairs of bits, 16 signed scales of 16 elements each, and d as a half float.
//!
//! In the file, each half of the block has 64 bytes of nibbles and 32 of pairs: byte i of the nibbles
//! holds elements i and i + 64 of the half, byte i of the pairs elements i, i + 32, i + 64, i + 96.
//! Rounding is not that of ggml's reference to the bit, but by the same search (`k_fit`).

use super::float16::f16_to_f32;
use super::k_fit::{reciprocal, symmetric_part};
use half::f16;

/// Elements of a block.
pub const BLOCK_LEN: usize = 256;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 210;

/// Where the scales start.
const SCALES_AT: usize = 192;

/// The 256 values of a block.
pub fn dequantize_block(raw: &[u8; BLOCK_BYTES], out: &mut [f32; BLOCK_LEN]) {
    let d = f16_to_f32(u16::from_le_bytes([raw[208], raw[209]]));
    let q = quants(raw);
    for (part, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let step = d * f32::from(raw[SCALES_AT + part] as i8);
        for (i, value) in out.iter_mut().enumerate() {
            *value = step * (i32::from(q[16 * part + i]) - 32) as f32;
        }
    }
}

/// The block nearest to 256 values.
pub fn quantize_block(x: &[f32; BLOCK_LEN]) -> [u8; BLOCK_BYTES] {
    let parts = x.as_chunks::<16>().0;
    let mut steps = [0f32; 16];
    for (step, part) in steps.iter_mut().zip(parts) {
        *step = symmetric_part(part);
    }
    let extreme =
        steps.iter().fold(0f32, |most, step| if step.abs() > most.abs() { *step } else { most });
    // The largest scale becomes -128, the longer side of a signed byte.
    let d = f16::from_f32(extreme / -128.0);
    let inverse = reciprocal(extreme / -128.0);
    let scales = steps.map(|step| (step * inverse).round_ties_even().clamp(-128.0, 127.0) as i8);
    let mut q = [0; 256];
    for (j, (part, q)) in parts.iter().zip(q.as_chunks_mut::<16>().0).enumerate() {
        let inverse = reciprocal(d.to_f32() * f32::from(scales[j]));
        *q = part.map(|x| ((x * inverse).round_ties_even().clamp(-32.0, 31.0) + 32.0) as u8);
    }
    let mut raw = [0; BLOCK_BYTES];
    raw[SCALES_AT..208].copy_from_slice(&scales.map(|scale| scale as u8));
    raw[208..].copy_from_slice(&d.to_le_bytes());
    put_quants(&q, &mut raw);
    raw
}

/// The 6-bit numbers of a block in the order of elements.
pub(super) fn quants(raw: &[u8; BLOCK_BYTES]) -> [u8; 256] {
    let mut q = [0; 256];
    for (half, q) in q.as_chunks_mut::<128>().0.iter_mut().enumerate() {
        let (low, high) = (&raw[64 * half..][..64], &raw[128 + 32 * half..][..32]);
        for i in 0..32 {
            q[i] = low[i] & 15 | (high[i] & 3) << 4;
            q[i + 32] = low[i + 32] & 15 | (high[i] >> 2 & 3) << 4;
            q[i + 64] = low[i] >> 4 | (high[i] >> 4 & 3) << 4;
            q[i + 96] = low[i + 32] >> 4 | (high[i] >> 6) << 4;
        }
    }
    q
}

/// Writes 6-bit numbers in the order of elements into a block.
pub(super) fn put_quants(q: &[u8; 256], raw: &mut [u8; BLOCK_BYTES]) {
    for (half, q) in q.as_chunks::<128>().0.iter().enumerate() {
        for i in 0..32 {
            raw[64 * half + i] = q[i] & 15 | q[i + 64] << 4;
            raw[64 * half + i + 32] = q[i + 32] & 15 | q[i + 96] << 4;
            raw[128 + 32 * half + i] =
                q[i] >> 4 | q[i + 32] >> 4 << 2 | q[i + 64] >> 4 << 4 | q[i + 96] >> 4 << 6;
        }
    }
}
