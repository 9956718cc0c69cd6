//! All memory of a pass of at most `rows` rows, allocated once and reused.
//!
//! It knows no weights. A pass of fewer rows uses the top of each tensor.

use super::config::Config;
use super::forward::Activations;
use crate::device::{Buffer, Device, DeviceError};
use crate::tensor::Tensor;

/// Highest LoRA rank that the workspace has room for.
pub const RANK_MAX: usize = 256;

/// Memory of a pass.
pub struct Workspace {
    /// Most rows.
    pub rows: usize,
    /// Token ids, u32 `[rows]`.
    pub tokens: Buffer,
    /// Positions and key rows, u32 `[rows, 2]`.
    pub places: Buffer,
    /// Spans, u32 `[rows, 4]`.
    pub spans: Buffer,
    /// The residual stream at a layer's start, middle and end, `[rows, dim]`; start and end change places.
    pub h: [Tensor; 3],
    /// A layer's activations.
    pub a: Activations,
}

impl Workspace {
    /// Allocates it.
    pub fn new(device: &Device, config: &Config, rows: usize) -> Result<Workspace, DeviceError> {
        let stream = |label| Tensor::zeros(device, label, rows, config.dim);
        Ok(Workspace {
            rows,
            tokens: device.alloc("tokens", 4 * rows as u64)?,
            places: device.alloc("places", 8 * rows as u64)?,
            spans: device.alloc("spans", 16 * rows as u64)?,
            h: [stream("h in")?, stream("h mid")?, stream("h out")?],
            a: activations(device, config, rows)?,
        })
    }
}

/// A layer's activations for `rows` rows.
pub fn activations(
    device: &Device,
    config: &Config,
    rows: usize,
) -> Result<Activations, DeviceError> {
    let (q, kv) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
    let zeros = |label, cols| Tensor::zeros(device, label, rows, cols);
    Ok(Activations {
        norm: zeros("norm", config.dim)?,
        q: zeros("q", q)?,
        k: zeros("k", kv)?,
        v: zeros("v", kv)?,
        unnormed: match config.arch.norms_heads() {
            true => Some([zeros("q before its norm", q)?, zeros("k before its norm", kv)?]),
            false => None,
        },
        attn: zeros("attn", q)?,
        stats: zeros("stats", 2 * config.heads)?,
        gate: zeros("gate", config.ff)?,
        up: zeros("up", config.ff)?,
        act: zeros("act", config.ff)?,
        out: zeros("out", config.dim)?,
        u: zeros("u", RANK_MAX)?,
    })
}
