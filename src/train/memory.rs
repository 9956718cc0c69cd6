//! All memory of a training run beside the model's, allocated in one place: the planner counts it there.
//!
//! It knows no gradients. Invariant: a chunk of targets starts on a multiple of 64 words of each of the loss's vectors
//! (256 bytes, WebGPU's binding alignment), however many rows a chunk has.

use super::backward::Gradients;
use super::ewc::Ewc;
use super::importance::Form;
use super::parts::flat_parts;
use super::plan::{LayerMemory, Plan};
use super::surgery::{Protected, Surgery};
use crate::device::{Account, Buffer, Device, DeviceError, Limits};
use crate::kernels::DOT_PARTIALS;
use crate::model::config::Config;
use crate::model::lora::{Flat, LoraLayout};
use crate::tensor::Tensor;
use serde::Serialize;

/// What protects earlier learning in a run's steps, beside the batches themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Guards {
    /// Where the gradients of what teaches and of what protects are kept apart.
    pub surgery: Surgery,
    /// The form of EWC's penalty, if there is one.
    pub ewc: Option<Form>,
}

/// The numbers that decide how much memory a run takes.
#[derive(Clone, Copy)]
pub struct Shape<'a> {
    /// The model.
    pub config: &'a Config,
    /// The adapter.
    pub layout: &'a LoraLayout,
    /// Most rows of a pass.
    pub rows: usize,
    /// Rows of logits made at once.
    pub logit_rows: usize,
    /// What protects.
    pub guards: Guards,
}

/// A run's memory.
pub struct Memory {
    /// The gradient.
    pub grads: Flat,
    /// First moments.
    pub m: Flat,
    /// Second moments.
    pub v: Flat,
    /// f32 `[1]`: the sum of the gradient's squares.
    pub norm: Buffer,
    /// f32 `[parts, DOT_PARTIALS]`, a row for each part of the flat vectors.
    pub partials: Buffer,
    /// Input of every layer and the last one's output: the checkpoints, `[rows, dim]`.
    pub h: Vec<Tensor>,
    /// Activations of every layer, kept or in memory that layers share.
    pub layers: Vec<LayerMemory>,
    /// Gradients of one layer's activations.
    pub d: Gradients,
    /// What a pass reads.
    pub input: Inputs,
    /// The loss's.
    pub head: Head,
    /// The second gradient, where there is surgery.
    pub protected: Option<Protected>,
    /// The penalty, where there is one.
    pub ewc: Option<Ewc>,
}

/// What a pass reads.
pub struct Inputs {
    /// u32 `[rows]`
    pub tokens: Buffer,
    /// u32 `[rows, 2]`
    pub places: Buffer,
    /// u32 `[rows, 4]`
    pub spans: Buffer,
    /// u32 `[rows, 2]`
    pub key_spans: Buffer,
}

/// Memory of the loss, a chunk of targets at a time.
pub struct Head {
    /// Rows of a chunk.
    pub rows: usize,
    /// Words from one chunk's start to the next one's in the four vectors.
    pub stride: usize,
    /// Each target's row, u32.
    pub indices: Buffer,
    /// Each target's token, u32.
    pub labels: Buffer,
    /// Each target's share of the loss, f32.
    pub weights: Buffer,
    /// NLL or KL of every target of a pass, f32.
    pub losses: Buffer,
    /// `[rows, vocab]`
    pub logits: Tensor,
    /// `[rows, vocab]`
    pub teacher: Tensor,
    /// `[rows, dim]`, as all that follow.
    pub teacher_norm: Tensor,
    /// The targets' rows of the residual stream.
    pub h: Tensor,
    /// The same after the last norm.
    pub norm: Tensor,
    /// Its gradient.
    pub d_norm: Tensor,
    /// The gradient of `h`.
    pub d_h: Tensor,
}

impl Memory {
    /// Allocates it on the account's device, with as many layers' activations kept as `plan` says.
    pub fn new(account: &mut Account, shape: Shape<'_>, plan: Plan) -> Result<Memory, DeviceError> {
        let device = &account.device().clone();
        let Shape { config, layout, rows, .. } = shape;
        let words = |label, n: usize| device.alloc(label, 4 * n as u64);
        let parts = flat_parts(device, layout.len).count();
        let grads = Flat::zeros(device, "gradients", layout)?;
        let norm = words("gradient norm", 1)?;
        let partials = words("partial sums", parts * DOT_PARTIALS)?;
        account.book("gradient");
        let m = Flat::zeros(device, "first moments", layout)?;
        let v = Flat::zeros(device, "second moments", layout)?;
        account.book("moments");
        let stream = |_| Tensor::zeros(device, "checkpoint", rows, config.dim);
        let h = (0..=config.layers).map(stream).collect::<Result<_, _>>()?;
        account.book("checkpoints");
        let layers = LayerMemory::all(account, config, rows, plan)?;
        let d = Gradients::new(device, config, layout.method, rows)?;
        account.book("gradients of one layer's activations");
        let input = Inputs {
            tokens: words("tokens", rows)?,
            places: words("places", 2 * rows)?,
            spans: words("spans", 4 * rows)?,
            key_spans: words("key spans", 2 * rows)?,
        };
        let head = Head::new(device, shape)?;
        account.book("logits of the loss");
        let protected = Protected::new(account, config, layout, shape.guards.surgery)?;
        let ewc = Ewc::new(account, config, layout, shape.guards.ewc)?;
        Ok(Memory { grads, m, v, norm, partials, h, layers, d, input, head, protected, ewc })
    }
}

impl Head {
    fn new(device: &Device, shape: Shape<'_>) -> Result<Head, DeviceError> {
        let Shape { config, rows: pass_rows, logit_rows: rows, .. } = shape;
        let stride = rows.next_multiple_of(64);
        // Targets of two kinds, each in chunks of its own.
        let chunks = 2 + pass_rows.div_ceil(rows);
        let words = |label| device.alloc(label, 4 * (chunks * stride) as u64);
        let few = |label, cols| Tensor::zeros(device, label, rows, cols);
        Ok(Head {
            rows,
            stride,
            indices: words("target rows")?,
            labels: words("labels")?,
            weights: words("weights")?,
            losses: words("losses")?,
            logits: few("logits", config.vocab)?,
            teacher: few("teacher logits", config.vocab)?,
            teacher_norm: few("teacher rows", config.dim)?,
            h: few("target rows h", config.dim)?,
            norm: few("target rows norm", config.dim)?,
            d_norm: few("target rows dnorm", config.dim)?,
            d_h: few("target rows dh", config.dim)?,
        })
    }
}

/// The plan of a run that begins with `used` bytes of the device taken: as many layers' activations are kept as there is
/// room for, but not more than [`Plan::KEPT_BYTES_MAX`]. A run that does not fit with none is refused.
pub fn fit(limits: Limits, used: u64, shape: Shape<'_>) -> Result<Plan, DeviceError> {
    let none = Plan::new(shape.config, shape.rows, 0);
    let counting = Device::counting(Limits { memory_bytes_max: None, own_bytes: used, ..limits });
    let _memory = Memory::new(&mut Account::new(&counting), shape, none)?;
    let needed = counting.stats().bytes;
    limits.check_room("training", needed, "lower the rank or the tokens of a pass")?;
    let room = limits.memory_bytes_max.map_or(u64::MAX, |allowed| allowed - needed);
    Ok(Plan::new(shape.config, shape.rows, Plan::KEPT_BYTES_MAX.min(room)))
}
