//! Named f32 tensors in a safetensors file, through the `safetensors` crate.
//!
//! It knows nothing of what the tensors are. Invariant: the same tensors give the same bytes.

use super::error::FormatError;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;

/// A tensor with its name.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// The name in the file.
    pub name: String,
    /// Lengths of the dimensions, the slowest first.
    pub shape: Vec<usize>,
    /// The values, the last dimension contiguous.
    pub data: Vec<f32>,
}

/// Reads all tensors, by name; F16 and BF16 are widened (exactly).
pub fn read_f32(bytes: &[u8]) -> Result<Vec<NamedTensor>, FormatError> {
    let damaged = |error| FormatError::Adapter { reason: format!("no safetensors file: {error}") };
    let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let mut tensors = Vec::with_capacity(file.len());
    for (name, view) in file.tensors() {
        let (pairs, fours) = (view.data().as_chunks::<2>().0, view.data().as_chunks::<4>().0);
        let data = match view.dtype() {
            Dtype::F32 => fours.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Dtype::F16 => pairs.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
            Dtype::BF16 => pairs.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
            other => {
                let reason = format!("the tensor `{name}` is {other:?}, not F32, F16 or BF16");
                return Err(FormatError::Adapter { reason });
            }
        };
        tensors.push(NamedTensor { name, shape: view.shape().to_vec(), data });
    }
    tensors.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(tensors)
}

/// Writes tensors as F32, with the mark that PyTorch's loaders ask for. Panics where shape and data
/// disagree.
pub fn write_f32(tensors: &[NamedTensor]) -> Vec<u8> {
    let views = tensors.iter().map(|tensor| {
        let data = bytemuck::cast_slice(&tensor.data);
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), data);
        (tensor.name.as_str(), view.expect("a tensor has as many values as its shape says"))
    });
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    safetensors::serialize(views, Some(metadata)).expect("serializing to memory has no I/O")
}
