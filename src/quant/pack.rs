//! The device layout of a matrix: the file's bits, losslessly reordered so that a kernel can load
//! them in 16 bytes.
//!
//! All quant words come first, then all scale words; b counts blocks of 32 elements over the rows,
//! which follow each other without gaps:
//!
//! | type | block b | scales, from word `scales_at` |
//! |---|---|---|
//! | Q4_0 | words 4b..4b+4: its 16 nibble bytes | d in half-word b, low half first |
//! | Q4_1 | words 4b..4b+4: its 16 nibble bytes | word b: d low, m high |
//! | Q8_0 | words 8b..8b+8: its 32 bytes | d in half-word b, low half first |
//! | F16 | words 16b..16b+16: two values a word, low half first | none |
//! | F32 | words 32b..32b+32 | none |
//!
//! Invariant: `unpack(pack(x)) == x`, and the length is a multiple of 4 words (it is bound as
//! `array<vec4<u32>>`; the padding is zero). Nothing here knows of devices.

use super::TensorType;
pub use super::rows::{dequantize_row, dot_row};

/// Elements of a block in the device layout, for every type.
pub const BLOCK_LEN: usize = 32;

/// A matrix part in the device layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Quant words, then scale words, then padding to a multiple of 4.
    pub words: Vec<u32>,
    /// Word index of the scales; 0 where the type has none.
    pub scales_at: u32,
}

/// Where the regions of a packed matrix part lie, in words.
struct Regions {
    n_blocks: usize,
    scales_at: usize,
    words: usize,
}

/// Length in words of a packed matrix part. Panics where `cols` is no multiple of 32.
pub fn packed_words(ty: TensorType, rows: usize, cols: usize) -> usize {
    regions(ty, rows, cols).words
}

/// Word index of the scales of a packed matrix part; 0 where the type has none.
pub fn scales_at(ty: TensorType, rows: usize, cols: usize) -> usize {
    regions(ty, rows, cols).scales_at
}

/// Words of quants in one block.
pub fn quant_words(ty: TensorType) -> usize {
    BLOCK_LEN * (ty.block_bytes() - scale_bytes(ty)) / ty.block_len() / 4
}

/// f16 scales of one block, in half-words.
pub fn scale_halves(ty: TensorType) -> usize {
    scale_bytes(ty) / 2
}

/// Packs `raw`, the file's bytes of `rows x cols` elements. Panics where the lengths do not belong together.
pub fn pack(ty: TensorType, raw: &[u8], rows: usize, cols: usize) -> Packed {
    assert_eq!(raw.len(), ty.row_bytes(cols) * rows, "bytes of {rows} x {cols} {}", ty.name());
    let at = regions(ty, rows, cols);
    let mut words = vec![0u32; at.words];
    let (quants, scales) = words.split_at_mut(at.scales_at);
    let (quants, scales): (&mut [u8], &mut [u8]) =
        (bytemuck::cast_slice_mut(quants), bytemuck::cast_slice_mut(scales));
    match scale_bytes(ty) {
        0 => scales[..raw.len()].copy_from_slice(raw),
        n_scale => {
            let n_quant = ty.block_bytes() - n_scale;
            for (b, block) in raw.chunks_exact(ty.block_bytes()).enumerate() {
                quants[b * n_quant..][..n_quant].copy_from_slice(&block[n_scale..]);
                scales[b * n_scale..][..n_scale].copy_from_slice(&block[..n_scale]);
            }
        }
    }
    Packed { words, scales_at: u32::try_from(at.scales_at).expect("a part is under 16 GiB") }
}

/// The file's bytes of a packed matrix part: the exact inverse of [`pack`].
pub fn unpack(ty: TensorType, packed: &Packed, rows: usize, cols: usize) -> Vec<u8> {
    let at = regions(ty, rows, cols);
    assert_eq!(packed.words.len(), at.words, "words of {rows} x {cols} {}", ty.name());
    let bytes = ty.row_bytes(cols) * rows;
    let (quants, scales) = packed.words.split_at(at.scales_at);
    let (quants, scales): (&[u8], &[u8]) =
        (bytemuck::cast_slice(quants), bytemuck::cast_slice(scales));
    let n_scale = scale_bytes(ty);
    if n_scale == 0 {
        return scales[..bytes].to_vec();
    }
    let n_quant = ty.block_bytes() - n_scale;
    let mut raw = Vec::with_capacity(bytes);
    for b in 0..at.n_blocks {
        raw.extend_from_slice(&scales[b * n_scale..][..n_scale]);
        raw.extend_from_slice(&quants[b * n_quant..][..n_quant]);
    }
    raw
}

/// Bytes at the start of a file block that are scales; 0 for the unquantized types.
fn scale_bytes(ty: TensorType) -> usize {
    match ty {
        TensorType::F32 | TensorType::F16 => 0,
        TensorType::Q4_0 | TensorType::Q8_0 => 2,
        TensorType::Q4_1 => 4,
    }
}

fn regions(ty: TensorType, rows: usize, cols: usize) -> Regions {
    assert_eq!(cols % BLOCK_LEN, 0, "columns of a packed matrix come in blocks of 32");
    let n_blocks = rows * (cols / BLOCK_LEN);
    let bytes = rows * ty.row_bytes(cols);
    let scales_at = match scale_bytes(ty) {
        0 => 0,
        n_scale => n_blocks * (ty.block_bytes() - n_scale) / 4,
    };
    Regions { n_blocks, scales_at, words: bytes.div_ceil(4).next_multiple_of(4) }
}

// The words are filled and read as bytes, which is the same layout only where the low byte comes
// first.
const _: () = assert!(cfg!(target_endian = "little"), "the device layout is little-endian");
