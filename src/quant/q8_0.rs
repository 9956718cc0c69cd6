//! Q8_0: 32 elements in 34 bytes, `q * d`; d is a half float, then 32 signed bytes.
//!
//! Rounding is that of ggml's reference, bit for bit: d is the largest magnitude over 127, halves
//! round away from zero.

use half::f16;

/// Elements of a block.
pub const BLOCK_LEN: usize = 32;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 34;

/// The 32 values of a block.
pub fn dequantize_block(raw: &[u8; BLOCK_BYTES], out: &mut [f32; BLOCK_LEN]) {
    let d = f16::from_le_bytes([raw[0], raw[1]]).to_f32();
    for (value, &q) in out.iter_mut().zip(&raw[2..]) {
        *value = f32::from(q as i8) * d;
    }
}

/// The block nearest to 32 values.
pub fn quantize_block(x: &[f32; BLOCK_LEN]) -> [u8; BLOCK_BYTES] {
    let magnitude = x.iter().fold(0f32, |most, value| most.max(value.abs()));
    let d = magnitude / 127.0;
    let inverse = if d != 0.0 { 1.0 / d } else { 0.0 };
    let mut raw = [0; BLOCK_BYTES];
    raw[..2].copy_from_slice(&f16::from_f32(d).to_le_bytes());
    for (byte, value) in raw[2..].iter_mut().zip(x) {
        *byte = (value * inverse).round() as i8 as u8;
    }
    raw
}
