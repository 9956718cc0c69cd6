//! Writes GGUF files: small ones whole, from memory, and the header of large ones whose tensors follow in a stream.
//!
//! It knows the container only. Invariant: `Gguf::read` reads back what was written, in the same
//! order, and the same input gives the same bytes.

use super::gguf_value::{Metadata, Value, write_string, write_value};
use crate::quant::TensorType;

/// Where tensor data is aligned to unless the metadata says otherwise; GGUF's default.
pub const ALIGNMENT: u64 = 32;

/// A tensor as a header lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorHead {
    /// The name.
    pub name: String,
    /// How its elements are stored.
    pub ty: TensorType,
    /// Elements along each dimension in ggml's order: columns first.
    pub shape: Vec<u64>,
}

impl TensorHead {
    /// Bytes of its data. Panics where the rows are no whole blocks.
    pub fn bytes(&self) -> u64 {
        let rows: u64 = self.shape[1..].iter().product();
        self.ty.row_bytes(self.shape[0] as usize) as u64 * rows
    }
}

/// What tensor data is aligned to in a file with this metadata: a power of two.
pub fn alignment(metadata: &Metadata) -> u64 {
    let said = metadata.opt_usize("general.alignment").ok().flatten();
    said.map_or(ALIGNMENT, |alignment| alignment as u64).max(1)
}

/// A file's bytes up to the first tensor's data. The tensors' data follow in order, each padded with zeros to a
/// multiple of [`alignment`], but for the last.
pub fn header(metadata: &Metadata, tensors: &[TensorHead]) -> Vec<u8> {
    let alignment = alignment(metadata);
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((metadata.iter().count() as u64).to_le_bytes());
    for (key, value) in metadata.iter() {
        write_string(key, &mut out);
        write_value(value, &mut out);
    }
    let mut offset = 0u64;
    for tensor in tensors {
        write_string(&tensor.name, &mut out);
        out.extend((tensor.shape.len() as u32).to_le_bytes());
        tensor.shape.iter().for_each(|dim| out.extend(dim.to_le_bytes()));
        out.extend(tensor.ty.gguf_id().to_le_bytes());
        out.extend(offset.to_le_bytes());
        offset = (offset + tensor.bytes()).next_multiple_of(alignment);
    }
    if !tensors.is_empty() {
        out.resize(out.len().next_multiple_of(alignment as usize), 0);
    }
    out
}

/// A small GGUF file in the making, kept in memory.
#[derive(Debug, Clone, Default)]
pub struct GgufWriter {
    metadata: Metadata,
    tensors: Vec<TensorHead>,
    data: Vec<Vec<u8>>,
}

impl GgufWriter {
    /// An empty file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a metadata key.
    pub fn key(&mut self, key: &str, value: Value) -> &mut Self {
        self.metadata.insert(key, value);
        self
    }

    /// Adds a tensor from its bytes; `shape` in ggml's order, columns first.
    ///
    /// Panics where the bytes are not as many as shape and type say.
    pub fn tensor(
        &mut self,
        name: &str,
        ty: TensorType,
        shape: &[u64],
        data: Vec<u8>,
    ) -> &mut Self {
        let tensor = TensorHead { name: name.into(), ty, shape: shape.to_vec() };
        assert_eq!(data.len() as u64, tensor.bytes(), "bytes of `{name}`");
        self.tensors.push(tensor);
        self.data.push(data);
        self
    }

    /// The header of a file with these keys and with tensors that the caller writes: see [`header`].
    pub fn header(&self, tensors: &[TensorHead]) -> Vec<u8> {
        header(&self.metadata, tensors)
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = header(&self.metadata, &self.tensors);
        let alignment = alignment(&self.metadata) as usize;
        for data in &self.data {
            out.resize(out.len().next_multiple_of(alignment), 0);
            out.extend(data);
        }
        out
    }
}
