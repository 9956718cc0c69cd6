//! The device layout of a matrix: the file's bits, losslessly reordered so that a kernel can load
//! them in 16 bytes.
//!
//! A matrix part is a few planes, one after another: first the quants of all its blocks, then their
//! upper bits, then their scales. b counts blocks of 32 elements over the rows, which follow each
//! other without gaps, n is their number:
//!
//! | type | planes before the scales | scales, from word `scales_at` |
//! |---|---|---|
//! | Q4_0 | words 4b..4b+4: 16 nibble bytes | d in half-word b, low half first |
//! | Q4_1 | the same | word b: d low, m high |
//! | Q5_0 | the same; word 4n+b: fifth bits, element i in bit i | as Q4_0 |
//! | Q5_1 | as Q5_0 | as Q4_1 |
//! | Q8_0 | words 8b..8b+8: 32 bytes | as Q4_0 |
//! | Q4_K | as Q4_0 | words b/8*4..+4: the head of 8 blocks, as in the file |
//! | Q5_K | as Q5_0 | as Q4_K |
//! | Q6_K | as Q4_0; words 4n+2b..+2: pairs of bits | words b/8*4..+4: 16 i8; then d in half-word b/8 |
//! | F16, BF16 | words 16b..16b+16: two values a word, low half first | none |
//! | F32 | words 32b..32b+32 | none |
//!
//! Byte i of a nibble plane's block holds element i (low) and element i + 16 (high); byte k of a
//! pair plane's block the bits of elements k, k + 16, k + 8, k + 24 from low to high.
//!
//! Invariant: `unpack(pack(x)) == x`, and the length is a multiple of 4 words (it is bound as
//! `array<vec4<u32>>`; the padding is zero). Nothing here knows of devices.

use super::TensorType;
use super::device_order::{BLOCK_BYTES_MAX, from_device, to_device};
pub use super::dots::{Blocks, dot_rows};
pub use super::few::{FEW_MAX, Few, dot_few};
pub use super::rows::{dequantize_blocks, dequantize_columns};
pub use super::stretch::Planes;
use std::ops::Range;

/// Elements of a block in the device layout, for every type.
pub const BLOCK_LEN: usize = 32;

/// A matrix part in the device layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The planes, then padding to a multiple of 4.
    pub words: Vec<u32>,
    /// Word index of the scales; 0 where the type has none.
    pub scales_at: u32,
}

/// How a type's blocks are cut into planes.
struct Cut {
    /// Each plane's first byte in a block in the device's order, and its bytes.
    planes: &'static [(usize, usize)],
    /// The first plane with scales; none for floats.
    scales: Option<usize>,
}

/// Columns of a matrix of this type come in multiples of this.
pub fn cols_step(ty: TensorType) -> usize {
    ty.block_len().max(BLOCK_LEN)
}

/// Length in words of a packed matrix part. Panics where `cols` is no multiple of [`cols_step`].
pub fn packed_words(ty: TensorType, rows: usize, cols: usize) -> usize {
    planes(ty, rows, cols).last().map_or(0, |plane| plane.end).next_multiple_of(4)
}

/// Word index of the scales of a packed matrix part; 0 where the type has none.
pub fn scales_at(ty: TensorType, rows: usize, cols: usize) -> usize {
    let plane = cut(ty).scales.and_then(|scales| planes(ty, rows, cols).nth(scales));
    plane.map_or(0, |plane| plane.start)
}

/// The word range of each plane of a packed matrix part. Only the last may end within a word.
pub fn planes(ty: TensorType, rows: usize, cols: usize) -> impl Iterator<Item = Range<usize>> {
    assert_eq!(cols % cols_step(ty), 0, "columns of a packed {} are whole blocks", ty.name());
    let blocks = rows * (cols / ty.block_len());
    cut(ty).planes.iter().scan(0, move |start, (_, bytes)| {
        let plane = *start..*start + (blocks * bytes).div_ceil(4);
        *start = plane.end;
        Some(plane)
    })
}

/// Packs `raw`, the file's bytes of `rows x cols` elements. Panics where the lengths do not belong together.
pub fn pack(ty: TensorType, raw: &[u8], rows: usize, cols: usize) -> Packed {
    assert_eq!(raw.len(), ty.row_bytes(cols) * rows, "bytes of {rows} x {cols} {}", ty.name());
    let mut words = vec![0u32; packed_words(ty, rows, cols)];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
    if cut(ty).scales.is_none() {
        bytes[..raw.len()].copy_from_slice(raw);
    } else {
        let mut scratch = [0; BLOCK_BYTES_MAX];
        let ranges: Vec<_> = cut(ty).planes.iter().zip(planes(ty, rows, cols)).collect();
        for (b, block) in raw.chunks_exact(ty.block_bytes()).enumerate() {
            let block = to_device(ty, block, &mut scratch);
            for ((from, len), plane) in &ranges {
                bytes[4 * plane.start + b * len..][..*len].copy_from_slice(&block[*from..][..*len]);
            }
        }
    }
    let at = scales_at(ty, rows, cols);
    Packed { words, scales_at: u32::try_from(at).expect("a part is under 16 GiB") }
}

/// The file's bytes of a packed matrix part: the exact inverse of [`pack`].
pub fn unpack(ty: TensorType, packed: &Packed, rows: usize, cols: usize) -> Vec<u8> {
    assert_eq!(packed.words.len(), packed_words(ty, rows, cols), "words of {rows} x {cols}");
    let bytes: &[u8] = bytemuck::cast_slice(&packed.words);
    let total = ty.row_bytes(cols) * rows;
    if cut(ty).scales.is_none() {
        return bytes[..total].to_vec();
    }
    let mut raw = Vec::with_capacity(total);
    let (mut block, mut scratch) = ([0; BLOCK_BYTES_MAX], [0; BLOCK_BYTES_MAX]);
    let block = &mut block[..ty.block_bytes()];
    for b in 0..total / ty.block_bytes() {
        for ((to, len), plane) in cut(ty).planes.iter().zip(planes(ty, rows, cols)) {
            block[*to..][..*len].copy_from_slice(&bytes[4 * plane.start + b * len..][..*len]);
        }
        raw.extend_from_slice(from_device(ty, block, &mut scratch));
    }
    raw
}

fn cut(ty: TensorType) -> Cut {
    let (planes, scales): (&'static [(usize, usize)], _) = match ty {
        TensorType::F32 => (&[(0, 4)], None),
        TensorType::F16 | TensorType::BF16 => (&[(0, 2)], None),
        TensorType::Q4_0 => (&[(2, 16), (0, 2)], Some(1)),
        TensorType::Q4_1 => (&[(4, 16), (0, 4)], Some(1)),
        TensorType::Q5_0 => (&[(6, 16), (2, 4), (0, 2)], Some(2)),
        TensorType::Q5_1 => (&[(8, 16), (4, 4), (0, 4)], Some(2)),
        TensorType::Q8_0 => (&[(2, 32), (0, 2)], Some(1)),
        TensorType::Q4K => (&[(16, 128), (0, 16)], Some(1)),
        TensorType::Q5K => (&[(48, 128), (16, 32), (0, 16)], Some(2)),
        TensorType::Q6K => (&[(0, 128), (128, 64), (192, 16), (208, 2)], Some(2)),
    };
    Cut { planes, scales }
}

// The words are filled and read as bytes, which is the same layout only where the low byte comes
// first.
const _: () = assert!(cfg!(target_endian = "little"), "the device layout is little-endian");
