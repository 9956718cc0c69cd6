//! Q5_1: 32 elements in 24 bytes, `q * d + m`; d and m are half floats, then a word of fifth bits,
//! then 16 bytes of nibbles.
//!
//! Quants lie as in Q5_0. Rounding is that of ggml's reference, bit for bit: m is the smallest
//! element, and d spreads the range over 31 steps.

use super::q5_0::{pack_quants, quants};
use half::f16;

/// Elements of a block.
pub const BLOCK_LEN: usize = 32;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 24;

/// The 32 values of a block.
pub fn dequantize_block(raw: &[u8; BLOCK_BYTES], out: &mut [f32; BLOCK_LEN]) {
    let d = f16::from_le_bytes([raw[0], raw[1]]).to_f32();
    let m = f16::from_le_bytes([raw[2], raw[3]]).to_f32();
    let q = quants(raw[4..].try_into().expect("20 bytes follow the scales"));
    for (value, q) in out.iter_mut().zip(q) {
        *value = f32::from(q) * d + m;
    }
}

/// The block nearest to 32 values.
pub fn quantize_block(x: &[f32; BLOCK_LEN]) -> [u8; BLOCK_BYTES] {
    let (mut low, mut high) = (f32::MAX, f32::MIN);
    for &value in x {
        // Comparisons rather than `min`, since these let a NaN pass by as the reference does.
        low = if value < low { value } else { low };
        high = if value > high { value } else { high };
    }
    let d = (high - low) / 31.0;
    let inverse = if d != 0.0 { 1.0 / d } else { 0.0 };
    let q = x.map(|value| (((value - low) * inverse + 0.5) as i8).min(31) as u8);
    let mut raw = [0; BLOCK_BYTES];
    raw[..2].copy_from_slice(&f16::from_f32(d).to_le_bytes());
    raw[2..4].copy_from_slice(&f16::from_f32(low).to_le_bytes());
    raw[4..].copy_from_slice(&pack_quants(&q));
    raw
}
