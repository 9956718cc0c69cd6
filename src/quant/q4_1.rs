//! Q4_1: 32 elements in 20 bytes, `q * d + m`; d and m are half floats, then 16 bytes of nibbles.
//!
//! The low nibble of byte i is element i, the high one element i + 16. Rounding is that of ggml's
//! reference, bit for bit: m is the smallest element, and d spreads the range over 15 steps.

use half::f16;

/// Elements of a block.
pub const BLOCK_LEN: usize = 32;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 20;

/// The 32 values of a block.
pub fn dequantize_block(raw: &[u8; BLOCK_BYTES], out: &mut [f32; BLOCK_LEN]) {
    let d = f16::from_le_bytes([raw[0], raw[1]]).to_f32();
    let m = f16::from_le_bytes([raw[2], raw[3]]).to_f32();
    for i in 0..16 {
        out[i] = f32::from(raw[4 + i] & 15) * d + m;
        out[i + 16] = f32::from(raw[4 + i] >> 4) * d + m;
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
    let d = (high - low) / 15.0;
    let inverse = if d != 0.0 { 1.0 / d } else { 0.0 };
    let step = |value: f32| (((value - low) * inverse + 0.5) as i8).min(15) as u8;
    let mut raw = [0; BLOCK_BYTES];
    raw[..2].copy_from_slice(&f16::from_f32(d).to_le_bytes());
    raw[2..4].copy_from_slice(&f16::from_f32(low).to_le_bytes());
    for i in 0..16 {
        raw[4 + i] = step(x[i]) | step(x[i + 16]) << 4;
    }
    raw
}
