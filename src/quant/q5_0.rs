//! Q5_0: 32 elements in 22 bytes, `(q - 16) * d`; d is a half float, then a word of fifth bits,
//! then 16 bytes of nibbles.
//!
//! The low nibble of byte i is element i, the high one element i + 16; bit i of the word is the
//! fifth bit of element i. Rounding is that of ggml's reference, bit for bit: the signed element of
//! largest magnitude becomes exactly -16.

use half::f16;

/// Elements of a block.
pub const BLOCK_LEN: usize = 32;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 22;

/// The 32 values of a block.
pub fn dequantize_block(raw: &[u8; BLOCK_BYTES], out: &mut [f32; BLOCK_LEN]) {
    let d = f16::from_le_bytes([raw[0], raw[1]]).to_f32();
    let q = quants(raw[2..].try_into().expect("20 bytes follow the scale"));
    for (value, q) in out.iter_mut().zip(q) {
        *value = (i32::from(q) - 16) as f32 * d;
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
    let d = extreme / -16.0;
    let inverse = if d != 0.0 { 1.0 / d } else { 0.0 };
    let q = x.map(|value| ((value * inverse + 16.5) as i8).min(31) as u8);
    let mut raw = [0; BLOCK_BYTES];
    raw[..2].copy_from_slice(&f16::from_f32(d).to_le_bytes());
    raw[2..].copy_from_slice(&pack_quants(&q));
    raw
}

/// The 5-bit numbers of a word of fifth bits and 16 bytes of nibbles.
pub(super) fn quants(bytes: &[u8; 20]) -> [u8; 32] {
    let high = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let mut q = [0; 32];
    for i in 0..16 {
        q[i] = bytes[4 + i] & 15 | ((high >> i) as u8 & 1) << 4;
        q[i + 16] = bytes[4 + i] >> 4 | ((high >> (i + 16)) as u8 & 1) << 4;
    }
    q
}

/// The inverse of [`quants`].
pub(super) fn pack_quants(q: &[u8; 32]) -> [u8; 20] {
    let high = (0..32).fold(0u32, |high, i| high | u32::from(q[i] >> 4) << i);
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&high.to_le_bytes());
    for i in 0..16 {
        bytes[4 + i] = q[i] & 15 | q[i + 16] << 4;
    }
    bytes
}
