//! File bytes to `f32` and back, for any tensor type.
//!
//! It dispatches to the blocks' own files and knows nothing of rows or of the device layout.
//! Invariant: for the unquantized types both ways are exact up to the half float's own rounding.

use super::{TensorType, q4_0, q4_1, q4_k, q5_0, q5_1, q5_k, q6_k, q8_0};
use half::{bf16, f16};

/// Dequantizes `raw` (the file's layout) into `out`.
///
/// Panics where the lengths do not belong together: the caller cuts both from one shape.
pub fn dequantize(ty: TensorType, raw: &[u8], out: &mut [f32]) {
    assert_eq!(raw.len(), ty.row_bytes(out.len()), "bytes of {} {}", out.len(), ty.name());
    match ty {
        TensorType::F32 => {
            for (value, bytes) in out.iter_mut().zip(raw.as_chunks::<4>().0) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
        TensorType::F16 => {
            for (value, bytes) in out.iter_mut().zip(raw.as_chunks::<2>().0) {
                *value = f16::from_le_bytes(*bytes).to_f32();
            }
        }
        TensorType::BF16 => {
            for (value, bytes) in out.iter_mut().zip(raw.as_chunks::<2>().0) {
                *value = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
            }
        }
        TensorType::Q4_0 => dequantize_blocks(raw, out, q4_0::dequantize_block),
        TensorType::Q4_1 => dequantize_blocks(raw, out, q4_1::dequantize_block),
        TensorType::Q5_0 => dequantize_blocks(raw, out, q5_0::dequantize_block),
        TensorType::Q5_1 => dequantize_blocks(raw, out, q5_1::dequantize_block),
        TensorType::Q8_0 => dequantize_blocks(raw, out, q8_0::dequantize_block),
        TensorType::Q4K => dequantize_blocks(raw, out, q4_k::dequantize_block),
        TensorType::Q5K => dequantize_blocks(raw, out, q5_k::dequantize_block),
        TensorType::Q6K => dequantize_blocks(raw, out, q6_k::dequantize_block),
    }
}

/// Quantizes `x` and appends the bytes (the file's layout) to `out`: with ggml's reference rounding,
/// bit for bit, but for the K-quants, whose scales are searched for (`k_fit`).
///
/// Panics where `x` is no whole number of blocks.
pub fn quantize(ty: TensorType, x: &[f32], out: &mut Vec<u8>) {
    out.reserve(ty.row_bytes(x.len()));
    match ty {
        TensorType::F32 => x.iter().for_each(|value| out.extend(value.to_le_bytes())),
        TensorType::F16 => {
            x.iter().for_each(|value| out.extend(f16::from_f32(*value).to_le_bytes()))
        }
        TensorType::BF16 => {
            x.iter().for_each(|value| out.extend(bf16::from_f32(*value).to_le_bytes()))
        }
        TensorType::Q4_0 => quantize_blocks(x, out, q4_0::quantize_block),
        TensorType::Q4_1 => quantize_blocks(x, out, q4_1::quantize_block),
        TensorType::Q5_0 => quantize_blocks(x, out, q5_0::quantize_block),
        TensorType::Q5_1 => quantize_blocks(x, out, q5_1::quantize_block),
        TensorType::Q8_0 => quantize_blocks(x, out, q8_0::quantize_block),
        TensorType::Q4K => quantize_blocks(x, out, q4_k::quantize_block),
        TensorType::Q5K => quantize_blocks(x, out, q5_k::quantize_block),
        TensorType::Q6K => quantize_blocks(x, out, q6_k::quantize_block),
    }
}

fn dequantize_blocks<const BYTES: usize, const LEN: usize>(
    raw: &[u8],
    out: &mut [f32],
    block: impl Fn(&[u8; BYTES], &mut [f32; LEN]),
) {
    for (raw, out) in raw.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
        block(raw, out);
    }
}

fn quantize_blocks<const BYTES: usize, const LEN: usize>(
    x: &[f32],
    out: &mut Vec<u8>,
    block: impl Fn(&[f32; LEN]) -> [u8; BYTES],
) {
    for x in x.as_chunks().0 {
        out.extend(block(x));
    }
}
