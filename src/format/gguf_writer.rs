//! Writes GGUF files: small models for tests, and adapters.
//!
//! It knows the container only. Invariant: `Gguf::read` reads back what was written, in the same
//! order, and the same input gives the same bytes.

use super::gguf_value::{Metadata, Value, write_string, write_value};
use crate::quant::TensorType;

/// Where tensor data is aligned to; GGUF's default.
const ALIGNMENT: usize = 32;

/// A GGUF file in the making.
#[derive(Debug, Clone, Default)]
pub struct GgufWriter {
    metadata: Metadata,
    tensors: Vec<WrittenTensor>,
}

#[derive(Debug, Clone)]
struct WrittenTensor {
    name: String,
    ty: TensorType,
    shape: Vec<u64>,
    data: Vec<u8>,
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
        let rows: u64 = shape[1..].iter().product();
        let bytes = ty.row_bytes(shape[0] as usize) * rows as usize;
        assert_eq!(data.len(), bytes, "bytes of `{name}`");
        self.tensors.push(WrittenTensor { name: name.into(), ty, shape: shape.to_vec(), data });
        self
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.metadata.iter().count() as u64).to_le_bytes());
        for (key, value) in self.metadata.iter() {
            write_string(key, &mut out);
            write_value(value, &mut out);
        }
        let mut offset = 0;
        for tensor in &self.tensors {
            write_string(&tensor.name, &mut out);
            out.extend((tensor.shape.len() as u32).to_le_bytes());
            tensor.shape.iter().for_each(|dim| out.extend(dim.to_le_bytes()));
            out.extend(tensor.ty.gguf_id().to_le_bytes());
            out.extend((offset as u64).to_le_bytes());
            offset = (offset + tensor.data.len()).next_multiple_of(ALIGNMENT);
        }
        for tensor in &self.tensors {
            out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
            out.extend(&tensor.data);
        }
        out
    }
}
