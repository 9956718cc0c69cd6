//! A frozen matrix `[rows, cols]` in a packed type, in as many parts as the device's binding limit asks for.
//!
//! Rows arrive in any order and in chunks, so the host never holds the whole matrix. The packed layout is a few planes,
//! one after another (`quant::pack`), so a chunk is written in as many places.

use crate::device::{Buffer, Device, DeviceError, Matrices};
use crate::quant::{TensorType, pack};

/// How products with many rows hold a matrix's numbers while they multiply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TileType {
    /// As f32: every device, and the numbers exactly as the type says them.
    #[default]
    F32,
    /// As f32 in registers alone: for a program that plays a GPU, which barriers and workgroup memory cost more than reading
    /// an operand again.
    Registers {
        /// Lanes of a quad read the other operand for each other, which takes subgroups.
        quads: bool,
    },
    /// As f16, beside an f32 operand and f32 sums.
    F16,
    /// As f16 in cooperative matrices, the other operand too, with f32 sums.
    Matrices(Matrices),
}

impl TileType {
    /// Its name as users see it.
    pub fn name(self) -> &'static str {
        match self {
            TileType::F32 => "f32",
            TileType::Registers { .. } => "f32 in registers",
            TileType::F16 => "f16",
            TileType::Matrices(_) => "cooperative matrices",
        }
    }

    /// May a matrix of this type be held so? Rounding to f16 (one part in 2048) is small beside what made a quantized
    /// number; a file of F32 or BF16 was chosen for its numbers, and may hold larger ones.
    pub fn holds(self, ty: TensorType) -> bool {
        let exact = matches!(self, TileType::F32 | TileType::Registers { .. });
        exact || !matches!(ty, TensorType::F32 | TensorType::BF16)
    }
}

/// A matrix of weights on a device.
pub struct Weight {
    /// The type of its blocks.
    pub ty: TensorType,
    /// Output features (or vocabulary entries).
    pub rows: usize,
    /// Input features, a multiple of 32 (of 256 for K-quants).
    pub cols: usize,
    /// Its parts, in the order of rows.
    pub parts: Vec<Part>,
    /// How products with many rows hold it; f32 at first.
    pub tile: TileType,
}

/// A range of a weight's rows in one buffer.
pub struct Part {
    /// The packed words.
    pub buffer: Buffer,
    /// First row.
    pub row: usize,
    /// Rows.
    pub rows: usize,
    /// Word at which the scales start (0 where the type has none).
    pub scales_at: u32,
}

/// Why a matrix cannot be put on a device.
#[derive(Debug, thiserror::Error)]
pub enum WeightError {
    /// The columns are no whole blocks.
    #[error("a {ty} matrix of {rows} x {cols}: columns must be a multiple of {step}")]
    Columns {
        /// The type's name.
        ty: &'static str,
        /// Rows.
        rows: usize,
        /// Columns.
        cols: usize,
        /// What they must be a multiple of.
        step: usize,
    },
    /// Of the device.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// Rows are split on multiples of this, so that two f16 scales never share a word across parts or chunks.
const ROW_STEP: usize = 2;

impl Weight {
    /// Room for a matrix, to be filled by `write_rows`.
    pub fn alloc(
        device: &Device,
        label: &str,
        ty: TensorType,
        rows: usize,
        cols: usize,
    ) -> Result<Weight, WeightError> {
        let step = pack::cols_step(ty);
        if cols == 0 || rows == 0 || !cols.is_multiple_of(step) {
            return Err(WeightError::Columns { ty: ty.name(), rows, cols, step });
        }
        let pair_bytes = 4 * pack::packed_words(ty, ROW_STEP, cols) as u64;
        let rows_max = (device.binding_bytes_max() / pair_bytes) as usize * ROW_STEP;
        let mut parts = Vec::new();
        let mut row = 0;
        while row < rows {
            let n = (rows - row).min(rows_max.max(ROW_STEP));
            let words = pack::packed_words(ty, n, cols);
            let buffer = device.alloc(label, 4 * words as u64)?;
            let scales_at = pack::scales_at(ty, n, cols) as u32;
            parts.push(Part { buffer, row, rows: n, scales_at });
            row += n;
        }
        Ok(Weight { ty, rows, cols, parts, tile: TileType::F32 })
    }

    /// A matrix from its raw (GGUF) rows.
    pub fn upload(
        device: &Device,
        label: &str,
        ty: TensorType,
        raw: &[u8],
        rows: usize,
        cols: usize,
    ) -> Result<Weight, WeightError> {
        let weight = Weight::alloc(device, label, ty, rows, cols)?;
        weight.write_rows(device, 0, raw)?;
        Ok(weight)
    }

    /// Writes whole raw rows from `row` on; `row` is even, and so is the count unless the matrix ends there.
    pub fn write_rows(&self, device: &Device, row: usize, raw: &[u8]) -> Result<(), DeviceError> {
        let row_bytes = self.ty.row_bytes(self.cols);
        let rows = raw.len() / row_bytes;
        assert!(raw.len() == rows * row_bytes && row.is_multiple_of(ROW_STEP), "whole rows");
        assert!(rows.is_multiple_of(ROW_STEP) || row + rows == self.rows, "pairs of rows");
        for part in &self.parts {
            let from = row.max(part.row);
            let to = (row + rows).min(part.row + part.rows);
            if from >= to {
                continue;
            }
            let raw = &raw[(from - row) * row_bytes..(to - row) * row_bytes];
            let packed = pack::pack(self.ty, raw, to - from, self.cols);
            let chunk = pack::planes(self.ty, to - from, self.cols);
            let before = pack::planes(self.ty, from - part.row, self.cols);
            let whole = pack::planes(self.ty, part.rows, self.cols);
            for ((chunk, before), whole) in chunk.zip(before).zip(whole) {
                let at = whole.start + before.len();
                device.write(&part.buffer, 4 * at as u64, &packed.words[chunk])?;
            }
        }
        Ok(())
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.buffer.bytes()).sum()
    }
}
