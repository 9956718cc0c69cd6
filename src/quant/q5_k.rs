//! Q5_K: 256 elements in 176 bytes, `q * d s - dmin m`; a head of scales and minima for each 32
//! elements (`k_scales`), 32 bytes of fifth bits, then 128 bytes of nibbles.
//!
//! The nibbles lie as in Q4_K; bit j of byte i of the fifth bits belongs to element 32 j + i.
//! Rounding is not that of ggml's reference to the bit, but by the same search (`k_fit`).

use super::k_fit::affine_block;
use super::k_scales::{self, HEAD_BYTES, Head};
use super::q4_k;

/// Elements of a block.
pub const BLOCK_LEN: usize = 256;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 176;

/// The 256 values of a block.
pub fn dequantize_block(raw: &[u8; BLOCK_BYTES], out: &mut [f32; BLOCK_LEN]) {
    let (head, quants) = parts(raw);
    q4_k::affine_values(&Head::read(head), &quants, out);
}

/// The block nearest to 256 values.
pub fn quantize_block(x: &[f32; BLOCK_LEN]) -> [u8; BLOCK_BYTES] {
    let fitted = affine_block(x, 31.0);
    join(&k_scales::write(&fitted.head), &fitted.q)
}

/// Head, and quants in the order of elements.
pub(super) fn parts(raw: &[u8; BLOCK_BYTES]) -> (&[u8; HEAD_BYTES], [u8; 256]) {
    let (head, rest) = raw.split_first_chunk().expect("a head is shorter than a block");
    let (fifth, nibbles) = rest.split_first_chunk::<32>().expect("32 bytes follow the head");
    let mut q = q4_k::quants(nibbles.try_into().expect("128 bytes are left"));
    for (j, q) in q.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        for i in 0..32 {
            q[i] |= (fifth[i] >> j & 1) << 4;
        }
    }
    (head, q)
}

/// The inverse of [`parts`].
pub(super) fn join(head: &[u8; HEAD_BYTES], q: &[u8; 256]) -> [u8; BLOCK_BYTES] {
    let mut fifth = [0; 32];
    for (j, q) in q.as_chunks::<32>().0.iter().enumerate() {
        for i in 0..32 {
            fifth[i] |= (q[i] >> 4) << j;
        }
    }
    let mut raw = [0; BLOCK_BYTES];
    raw[..HEAD_BYTES].copy_from_slice(head);
    raw[HEAD_BYTES..][..32].copy_from_slice(&fifth);
    raw[HEAD_BYTES + 32..].copy_from_slice(&q4_k::pack_quants(q));
    raw
}
