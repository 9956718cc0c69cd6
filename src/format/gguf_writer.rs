//! Writes GGUF files: small ones whole, large ones as a header that the tensors' bytes follow.
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
    bytes: u64,
    /// None where the caller writes it.
    data: Option<Vec<u8>>,
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
        self.announce(name, ty, shape);
        let tensor = self.tensors.last_mut().expect("it was announced");
        assert_eq!(data.len() as u64, tensor.bytes, "bytes of `{name}`");
        tensor.data = Some(data);
        self
    }

    /// Adds a tensor whose bytes the caller writes: after the [`header`](Self::header), the tensors' bytes follow in the
    /// order in which they were announced, before each the [`padding`](Self::padding).
    pub fn announce(&mut self, name: &str, ty: TensorType, shape: &[u64]) -> &mut Self {
        let rows: u64 = shape[1..].iter().product();
        let bytes = ty.row_bytes(shape[0] as usize) as u64 * rows;
        let (name, shape) = (name.to_string(), shape.to_vec());
        self.tensors.push(WrittenTensor { name, ty, shape, bytes, data: None });
        self
    }

    /// What lies between byte `at` of the file and the next tensor, which is aligned.
    pub fn padding(at: u64) -> &'static [u8] {
        let past = (at % ALIGNMENT as u64) as usize;
        &[0; ALIGNMENT][..(ALIGNMENT - past) % ALIGNMENT]
    }

    /// The file's bytes. Panics where a tensor was only announced.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.header();
        for tensor in &self.tensors {
            out.extend(Self::padding(out.len() as u64));
            out.extend(tensor.data.as_ref().expect("a tensor's bytes"));
        }
        out
    }

    /// The file up to its first tensor's bytes.
    pub fn header(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.metadata.iter().count() as u64).to_le_bytes());
        for (key, value) in self.metadata.iter() {
            write_string(key, &mut out);
            write_value(value, &mut out);
        }
        let mut offset = 0u64;
        for tensor in &self.tensors {
            write_string(&tensor.name, &mut out);
            out.extend((tensor.shape.len() as u32).to_le_bytes());
            tensor.shape.iter().for_each(|dim| out.extend(dim.to_le_bytes()));
            out.extend(tensor.ty.gguf_id().to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset = (offset + tensor.bytes).next_multiple_of(ALIGNMENT as u64);
        }
        out
    }
}
