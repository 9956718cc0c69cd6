//! Q4_K: 256 elements in 144 bytes, `q * d s - dmin m`; a head of scales and minima for each 32
//! elements (`k_scales`), then 128 bytes of nibbles.
//!
//! In the file, 32 bytes hold 64 elements: the low nibbles are the first 32, the high ones the next.
//! Rounding is not that of ggml's reference to the bit, but by the same search (`k_fit`).

use super::k_fit::affine_block;
use super::k_scales::{self, HEAD_BYTES, Head};

/// Elements of a block.
pub const BLOCK_LEN: usize = 256;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 144;

/// The 256 values of a block.
pub fn dequantize_block(raw: &[u8; BLOCK_BYTES], out: &mut [f32; BLOCK_LEN]) {
    let (head, nibbles) = split(raw);
    affine_values(&Head::read(head), &quants(nibbles), out);
}

/// The block nearest to 256 values.
pub fn quantize_block(x: &[f32; BLOCK_LEN]) -> [u8; BLOCK_BYTES] {
    let fitted = affine_block(x, 15.0);
    join(&k_scales::write(&fitted.head), &pack_quants(&fitted.q))
}

/// Head and nibbles.
pub(super) fn split(raw: &[u8; BLOCK_BYTES]) -> (&[u8; HEAD_BYTES], &[u8; 128]) {
    let (head, nibbles) = raw.split_first_chunk().expect("a head is shorter than a block");
    (head, nibbles.try_into().expect("128 bytes follow the head"))
}

/// The inverse of [`split`].
pub(super) fn join(head: &[u8; HEAD_BYTES], nibbles: &[u8; 128]) -> [u8; BLOCK_BYTES] {
    let mut raw = [0; BLOCK_BYTES];
    raw[..HEAD_BYTES].copy_from_slice(head);
    raw[HEAD_BYTES..].copy_from_slice(nibbles);
    raw
}

/// The values of quants under a head.
pub(super) fn affine_values(head: &Head, q: &[u8; 256], out: &mut [f32; 256]) {
    let parts = out.as_chunks_mut::<32>().0.iter_mut().zip(q.as_chunks::<32>().0);
    for (j, (out, q)) in parts.enumerate() {
        let (step, min) = head.part(j);
        for (value, q) in out.iter_mut().zip(q) {
            *value = step * f32::from(*q) - min;
        }
    }
}

/// The numbers in the file's nibbles, in the order of elements.
pub(super) fn quants(nibbles: &[u8; 128]) -> [u8; 256] {
    let mut q = [0; 256];
    for (q, bytes) in q.as_chunks_mut::<64>().0.iter_mut().zip(nibbles.as_chunks::<32>().0) {
        for i in 0..32 {
            q[i] = bytes[i] & 15;
            q[i + 32] = bytes[i] >> 4;
        }
    }
    q
}

/// The file's nibbles of numbers in the order of elements; their fifth bits are left out.
pub(super) fn pack_quants(q: &[u8; 256]) -> [u8; 128] {
    let mut nibbles = [0; 128];
    for (q, bytes) in q.as_chunks::<64>().0.iter().zip(nibbles.as_chunks_mut::<32>().0) {
        for i in 0..32 {
            bytes[i] = q[i] & 15 | q[i + 32] << 4;
        }
    }
    nibbles
}
