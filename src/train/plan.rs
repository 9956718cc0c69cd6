//! What a training pass keeps of each layer until the backward pass comes to it, decided from sizes before the run.
//!
//! A layer's activations are either kept or computed again from the layer's input (checkpointing, Chen et al. 2016):
//! kept ones save a third of the products of the layer's backward pass and cost memory. Only what a product or attention
//! made is kept; norms and SwiGLU are made again either way. Invariant: both ways give the same gradient, bit for bit.

use crate::device::{Account, Device, DeviceError};
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
    /// Bytes that kept activations may take: with 135M parameters and 512 rows all layers fit.
    pub const KEPT_BYTES_MAX: u64 = 336 << 20;

    /// Keeps as many layers as fit in `bytes`, from the last one down.
    pub fn new(config: &Config, rows: usize, bytes: u64) -> Plan {
        // Layers share the memory of one, which is the first one's own where all others have theirs.
        let fitting = (bytes / Plan::layer_bytes(config, rows)).min(config.layers as u64) as usize;
        let kept = if fitting + 1 == config.layers { config.layers } else { fitting };
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
        // h mid; keys and values; q and attention's output; its statistics; gate and up.
        let mut columns = vec![dim, kv, kv, q, q, 2 * heads, ff, ff];
        if arch.norms_heads() {
            columns.extend([q, kv]);
        }
        let bytes = |columns: usize| (4 * rows.max(1) * columns).next_multiple_of(16) as u64;
        columns.into_iter().map(bytes).sum()
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
    /// Memory of every layer as `plan` says, on the account's device.
    pub fn all(
        account: &mut Account,
        config: &Config,
        rows: usize,
        plan: Plan,
    ) -> Result<Vec<LayerMemory>, DeviceError> {
        let device = &account.device().clone();
        let shared = LayerMemory::new(device, config, rows, activations(device, config, rows)?)?;
        account.book("one layer's activations");
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
        let layer =
            |layer| if plan.keeps(layer) && layer > 0 { kept() } else { Ok(shared.clone()) };
        let all = layers.map(layer).collect();
        account.book("activations kept");
        all
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
