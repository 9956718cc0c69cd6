//! A K-quant block's bits in the device's order: parts of 32 elements, each with its 16 bytes of
//! nibbles as a Q4_0 block has them, and its upper bits beside them.
//!
//! The kernels read every type 32 elements at a time, so the file's interleaving of parts is undone
//! once, when a matrix is packed. Bytes only change places within a block: heads and scales keep
//! theirs (Q4_K: head, nibbles; Q5_K: head, a word of fifth bits a part, nibbles; Q6_K: nibbles, 8
//! bytes of pairs a part, scales, d). Invariant: `from_device(to_device(x)) == x`.

use super::{TensorType, q4_k, q5_k, q6_k};

/// Bytes of the largest block that is reordered.
pub const BLOCK_BYTES_MAX: usize = q6_k::BLOCK_BYTES;

/// The block `raw` of the file in the device's order; types of 32 elements a block stay as they are.
#[inline]
pub fn to_device<'a>(
    ty: TensorType,
    raw: &'a [u8],
    scratch: &'a mut [u8; BLOCK_BYTES_MAX],
) -> &'a [u8] {
    match ty {
        TensorType::Q4K => {
            let (head, nibbles) = q4_k::split(sized(raw));
            let block = q4_k::join(head, &nibbles_of(&q4_k::quants(nibbles)));
            put(&block, scratch)
        }
        TensorType::Q5K => {
            let (head, q) = q5_k::parts(sized(raw));
            let mut block = [0; q5_k::BLOCK_BYTES];
            block[..16].copy_from_slice(head);
            block[16..48].copy_from_slice(&fifth_bits_of(&q));
            block[48..].copy_from_slice(&nibbles_of(&q));
            put(&block, scratch)
        }
        TensorType::Q6K => {
            let mut block: [u8; q6_k::BLOCK_BYTES] = *sized(raw);
            let q = q6_k::quants(&block);
            block[..128].copy_from_slice(&nibbles_of(&q));
            block[128..192].copy_from_slice(&pairs_of(&q));
            put(&block, scratch)
        }
        _ => raw,
    }
}

/// The inverse of [`to_device`].
pub fn from_device<'a>(
    ty: TensorType,
    block: &'a [u8],
    scratch: &'a mut [u8; BLOCK_BYTES_MAX],
) -> &'a [u8] {
    match ty {
        TensorType::Q4K => {
            let (head, nibbles) = q4_k::split(sized(block));
            let mut q = [0; 256];
            read_nibbles(nibbles, &mut q);
            put(&q4_k::join(head, &q4_k::pack_quants(&q)), scratch)
        }
        TensorType::Q5K => {
            let block: &[u8; q5_k::BLOCK_BYTES] = sized(block);
            let mut q = [0; 256];
            read_nibbles(sized(&block[48..]), &mut q);
            read_fifth_bits(sized(&block[16..48]), &mut q);
            put(&q5_k::join(sized(&block[..16]), &q), scratch)
        }
        TensorType::Q6K => {
            let mut raw: [u8; q6_k::BLOCK_BYTES] = *sized(block);
            let mut q = [0; 256];
            read_nibbles(sized(&raw[..128]), &mut q);
            read_pairs(sized(&raw[128..192]), &mut q);
            q6_k::put_quants(&q, &mut raw);
            put(&raw, scratch)
        }
        _ => block,
    }
}

fn sized<const N: usize>(bytes: &[u8]) -> &[u8; N] {
    bytes.try_into().expect("a block is as long as its type says")
}

fn put<'a>(block: &[u8], scratch: &'a mut [u8; BLOCK_BYTES_MAX]) -> &'a [u8] {
    scratch[..block.len()].copy_from_slice(block);
    &scratch[..block.len()]
}

/// Byte i of a part: the low bits of element i, then those of element i + 16.
fn nibbles_of(q: &[u8; 256]) -> [u8; 128] {
    let mut bytes = [0; 128];
    for (q, bytes) in q.as_chunks::<32>().0.iter().zip(bytes.as_chunks_mut::<16>().0) {
        for i in 0..16 {
            bytes[i] = q[i] & 15 | q[i + 16] << 4;
        }
    }
    bytes
}

fn read_nibbles(bytes: &[u8; 128], q: &mut [u8; 256]) {
    for (q, bytes) in q.as_chunks_mut::<32>().0.iter_mut().zip(bytes.as_chunks::<16>().0) {
        for i in 0..16 {
            q[i] |= bytes[i] & 15;
            q[i + 16] |= bytes[i] >> 4;
        }
    }
}

/// A word a part: bit i is the fifth bit of element i.
fn fifth_bits_of(q: &[u8; 256]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (q, bytes) in q.as_chunks::<32>().0.iter().zip(bytes.as_chunks_mut::<4>().0) {
        let word = (0..32).fold(0u32, |word, i| word | u32::from(q[i] >> 4) << i);
        *bytes = word.to_le_bytes();
    }
    bytes
}

fn read_fifth_bits(bytes: &[u8; 32], q: &mut [u8; 256]) {
    for (q, bytes) in q.as_chunks_mut::<32>().0.iter_mut().zip(bytes.as_chunks::<4>().0) {
        let word = u32::from_le_bytes(*bytes);
        for (i, q) in q.iter_mut().enumerate() {
            *q |= (word >> i & 1) as u8 * 16;
        }
    }
}

/// Eight bytes a part: byte k holds, from its low bits on, the upper two bits of elements k, k + 16,
/// k + 8 and k + 24.
fn pairs_of(q: &[u8; 256]) -> [u8; 64] {
    let mut bytes = [0; 64];
    for (q, bytes) in q.as_chunks::<32>().0.iter().zip(bytes.as_chunks_mut::<8>().0) {
        for k in 0..8 {
            bytes[k] = q[k] >> 4 | q[k + 16] >> 4 << 2 | q[k + 8] >> 4 << 4 | q[k + 24] >> 4 << 6;
        }
    }
    bytes
}

fn read_pairs(bytes: &[u8; 64], q: &mut [u8; 256]) {
    for (q, bytes) in q.as_chunks_mut::<32>().0.iter_mut().zip(bytes.as_chunks::<8>().0) {
        for k in 0..8 {
            q[k] |= (bytes[k] & 3) << 4;
            q[k + 16] |= (bytes[k] >> 2 & 3) << 4;
            q[k + 8] |= (bytes[k] >> 4 & 3) << 4;
            q[k + 24] |= (bytes[k] >> 6) << 4;
        }
    }
}
