//! An adapter on the host: its method, its rank, its alpha, and all parameters in one flat buffer.
//!
//! The flat order is decided by `model::lora::LoraLayout`; everything that treats the adapter as one vector
//! (interpolation, norms, content hashes) needs only this type. It knows no devices and no files.

use super::method::Method;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;

/// An adapter's parameters on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapter {
    /// How it changes a linear.
    pub method: Method,
    /// The rank r of every pair A `[r, in]`, B `[out, r]`; 0 where the method has none.
    pub rank: usize,
    /// LoRA's alpha; with the rank it decides the factor on the update (`Method::scale`).
    pub alpha: f32,
    /// All parameters, flat, in `LoraLayout`'s order (padding between tensors is zero).
    pub weights: Vec<f32>,
}

/// Why bytes are not an adapter.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// The bytes are no safetensors file.
    #[error("adapter bytes are damaged: {0}")]
    Damaged(#[from] safetensors::SafeTensorError),
    /// A field is missing or has the wrong type.
    #[error("adapter bytes lack a valid `{0}`; was the file written by another program?")]
    Field(&'static str),
}

impl Adapter {
    /// `self + s * (other - self)`: the point at share `s` of the way to `other`.
    ///
    /// Panics if the two differ in shape: both come from one training run.
    pub fn interpolate(&self, other: &Adapter, s: f32) -> Adapter {
        assert_eq!(self.weights.len(), other.weights.len(), "adapters of one shape");
        let shape = |adapter: &Adapter| (adapter.method, adapter.rank, adapter.alpha);
        assert_eq!(shape(self), shape(other), "adapters of one shape");
        let weights = self.weights.iter().zip(&other.weights).map(|(a, b)| a + s * (b - a));
        Adapter { weights: weights.collect(), ..*self }
    }

    /// The adapter as bytes (one safetensors file): the same adapter gives the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let data: &[u8] = bytemuck::cast_slice(&self.weights);
        let view = TensorView::new(Dtype::F32, vec![self.weights.len()], data)
            .expect("a flat f32 tensor has consistent sizes");
        // The metadata goes through one key, since a map of several would be written in any order.
        // LoRA, the only method once, goes without its name: the same adapter keeps its hash.
        let method = match self.method {
            Method::Lora => String::new(),
            other => format!(",\"method\":\"{other}\""),
        };
        let meta = format!("{{\"rank\":{},\"alpha\":{}{method}}}", self.rank, self.alpha);
        let metadata = HashMap::from([("apprentice".to_string(), meta)]);
        safetensors::serialize([("adapter", view)], Some(metadata))
            .expect("serializing to memory has no I/O")
    }

    /// Reads what `to_bytes` wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Adapter, AdapterError> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let meta = header.metadata().as_ref().and_then(|m| m.get("apprentice"));
        let meta: serde_json::Value = meta
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or(AdapterError::Field("apprentice"))?;
        let rank = meta["rank"].as_u64().ok_or(AdapterError::Field("rank"))? as usize;
        let alpha = meta["alpha"].as_f64().ok_or(AdapterError::Field("alpha"))? as f32;
        let method = match &meta["method"] {
            serde_json::Value::Null => Some(Method::Lora),
            name => name.as_str().and_then(Method::from_name),
        };
        let method = method.ok_or(AdapterError::Field("method"))?;
        let tensors = SafeTensors::deserialize(bytes)?;
        let tensor = tensors.tensor("adapter")?;
        if tensor.dtype() != Dtype::F32 {
            return Err(AdapterError::Field("adapter"));
        }
        Ok(Adapter { method, rank, alpha, weights: bytemuck::pod_collect_to_vec(tensor.data()) })
    }
}
