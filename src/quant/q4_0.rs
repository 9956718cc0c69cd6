//! Q4_0: 32 elements in 18 bytes, `(q - 8) * d`; d is a half float, then 16 bytes of nibbles.
//!
//! The low nibble of byte i is element i, the high one element i + 16. Rounding is that of ggml's
//! reference, bit for bit: the scale is the signed element of largest magnitude over -8, so that
//! this element becomes exactly -8.

use half::f16;

/// Elements of a block.
pub const BLOCK_LEN: usize = 32;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 18;

/// The 32 values of a block.
pub fn dequantize_block(raw: &[u8; BLOCK_BYTES], out: &mut [f32; BLOCK_LEN]) {
    let d = f16::from_le_bytes([raw[0], raw[1]]).to_f32();
    for i in 0..16 {
        out[i] = (i32::from(raw[2 + i] & 15) - 8) as f32 * d;
        out[i + 16] = (i32::from(raw[2 + i] >> 4) - 8) as f32 * d;
    }
}

/// The block nearest to 32 values.
pub fn quantize_block(x: &[f32; BLOCK_LEN]) -> [u8; BLOCK_BYTES] {
    let (mut magnitude, mut extreme) = (0f32, 0f32);
    for &value in x {
        if magnitude < value.abs() {
            (magnitude, extreme) = (value.abs(), value);
        }
    }
    let d = extreme / -8.0;
    let inverse = if d != 0.0 { 1.0 / d } else { 0.0 };
    // Adding 8.5 and cutting off the fraction rounds to the nearest of the 16 steps.
    let step = |value: f32| ((value * inverse + 8.5) as i8).min(15) as u8;
    let mut raw = [0; BLOCK_BYTES];
    raw[..2].copy_from_slice(&f16::from_f32(d).to_le_bytes());
    for i in 0..16 {
        raw[2 + i] = step(x[i]) | step(x[i + 16]) << 4;
    }
    raw
}
