//! What a training pass keeps of each layer until the backward pass comes to it, decided from sizes before the run.
//!
//! A layer's activations are either kept or computed again from the layer's input (checkpointing, Chen et al. 2016):
//! kept ones save a third of the products of the layer's backward pass and cost memory. Only what a product or attention
//! made is kept; norms and SwiGLU are made again either way. Invariant: both ways give the same gradient, bit for bit.

use crate::device::{Device, DeviceError};
use crate::model::config::Config;
use crate::model::forward::Activations;
use crate::model::workspace::activations;
use crate::tensor::Tensor;

/// Which layers' activations are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    layers: usize,
    kept: usize,
}

impl Plan {
    /// Bytes that kept activations may take: with 135M parameters and 128 rows all layers fit, with 512 rows three
    /// fifths of them.
    pub const KEPT_BYTES_MAX: u64 = 192 << 20;

    /// Keeps as many layers as fit in `bytes`, from the last one down.
    pub fn new(config: &Config, rows: usize, bytes: u64) -> Plan {
        let kept = (bytes / Plan::layer_bytes(config, rows)).min(config.layers as u64) as usize;
        Plan { layers: config.layers, kept }
    }

    /// Are the activations of `layer` kept?
    pub fn keeps(&self, layer: usize) -> bool {
        layer + self.kept >= self.layers
    }

    /// Bytes of one kept layer.
    pub fn layer_bytes(config: &Config, rows: usize) -> u64 {
        let Config { arch, dim, ff, heads, kv_heads, head_dim, .. } = *config;
        let (q, kv) = (heads * head_dim, kv_heads * head_dim);
        let unnormed = if arch.norms_heads() { q + kv } else { 0 };
        // h mid; q and attention's output; keys and values; its statistics; gate and up.
        let row = dim + 2 * q + 2 * kv + unnormed + 2 * heads + 2 * ff;
        4 * (rows.max(1) * row) as u64
    }
}

/// A layer's memory between its forward and its backward pass; layers that are not kept share one.
#[derive(Clone)]
pub struct LayerMemory {
    /// Activations, of which norm, act, out and u are every layer's in turn.
    pub a: Activations,
    /// The residual stream between the layer's halves, `[rows, dim]`.
    pub mid: Tensor,
    /// Keys and values, `[rows, kv_heads * head_dim]`.
    pub keys: (Tensor, Tensor),
}

impl LayerMemory {
    /// Memory of every layer as `plan` says.
    pub fn all(
        device: &Device,
        config: &Config,
        rows: usize,
        plan: Plan,
    ) -> Result<Vec<LayerMemory>, DeviceError> {
        let shared = LayerMemory::new(device, config, rows, activations(device, config, rows)?)?;
        let (q, kv) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
        let kept = || {
            let zeros = |label, cols| Tensor::zeros(device, label, rows, cols);
            let a = Activations {
                q: zeros("kept q", q)?,
                unnormed: match config.arch.norms_heads() {
                    true => Some([zeros("kept q before", q)?, zeros("kept k before", kv)?]),
                    false => None,
                },
                attn: zeros("kept attn", q)?,
                stats: zeros("kept stats", 2 * config.heads)?,
                gate: zeros("kept gate", config.ff)?,
                up: zeros("kept up", config.ff)?,
                ..shared.a.top(rows)
            };
            LayerMemory::new(device, config, rows, a)
        };
        let layers = 0..config.layers;
        layers.map(|layer| if plan.keeps(layer) { kept() } else { Ok(shared.clone()) }).collect()
    }

    fn new(
        device: &Device,
        config: &Config,
        rows: usize,
        a: Activations,
    ) -> Result<LayerMemory, DeviceError> {
        let kv = config.kv_heads * config.head_dim;
        let zeros = |label, cols| Tensor::zeros(device, label, rows, cols);
        Ok(LayerMemory {
            a,
            mid: zeros("h mid", config.dim)?,
            keys: (zeros("keys", kv)?, zeros("values", kv)?),
        })
    }

    /// The same memory for fewer rows.
    pub fn top(&self, n: usize) -> LayerMemory {
        LayerMemory {
            a: self.a.top(n),
            mid: self.mid.top(n),
            keys: (self.keys.0.top(n), self.keys.1.top(n)),
        }
    }
}
