//! All memory that a model takes on a device: how many rows of each kind fit its limits, and the allocation itself.
//!
//! The planner allocates on a device that only counts, through the same functions as loading does, so its numbers
//! are those of the run. Invariant: nothing here is larger than one binding but the weights, which are split by rows.

use super::config::Config;
use super::decode::Burst;
use super::decode_layer::OneRow;
use super::weights::Weights;
use super::workspace::{RANK_MAX, Workspace};
use super::{ModelError, PASS_ROWS, batch, cache::Cache, sampler};
use crate::device::{Account, Buffer, Device, DeviceError, Limits};
use crate::format::gguf::Gguf;
use crate::tensor::Tensor;
use serde::Serialize;

/// Most rows of logits made at once: at 49,152 entries, 25 MB.
pub const LOGIT_ROWS: usize = 128;

/// How many rows of each kind a device's bindings have room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Tokens of a conversation.
    pub context: usize,
    /// Rows of one pass.
    pub pass_rows: usize,
    /// Rows of logits made at once.
    pub logit_rows: usize,
}

impl Sizes {
    /// At most `context` tokens of a conversation, and no more than the model was trained for.
    pub fn new(config: &Config, limits: Limits, context: usize) -> Result<Sizes, ModelError> {
        let Config { dim, ff, heads, kv_heads, head_dim, vocab, .. } = *config;
        let fitting = |cols: usize| (limits.binding_bytes_max / (4 * cols as u64)) as usize;
        let context = context.min(config.context).min(fitting(kv_heads * head_dim));
        let widest = dim.max(ff).max(heads * head_dim).max(RANK_MAX);
        let pass_rows = PASS_ROWS.min(context).min(fitting(widest));
        let logit_rows = LOGIT_ROWS.min(fitting(vocab));
        if context == 0 || pass_rows == 0 || logit_rows == 0 {
            let rule = "a context of one token, and bindings of the device that hold a row of it";
            return Err(ModelError::Shape { rule });
        }
        Ok(Sizes { context, pass_rows, logit_rows })
    }
}

/// What a model needs beside its weights.
pub struct Memory {
    pub(super) rope: Buffer,
    pub(super) work: Workspace,
    /// Keys and values of a pass that leaves none in the cache, `[pass rows, kv_heads * head_dim]`.
    pub(super) scratch: (Tensor, Tensor),
    pub(super) cache: Cache,
    /// `[logit rows, vocab]`
    pub(super) logits: Tensor,
    /// Rows whose logits are wanted, before and after the last norm, `[logit rows, dim]`.
    pub(super) gathered: (Tensor, Tensor),
    pub(super) gather_rows: Buffer,
    pub(super) labels: Buffer,
    pub(super) zero_weights: Buffer,
    pub(super) losses: Buffer,
    pub(super) picked: Buffer,
    pub(super) burst: Burst,
    pub(super) one: OneRow,
}

impl Memory {
    /// Allocates it on the account's device.
    pub fn new(
        account: &mut Account,
        config: &Config,
        sizes: Sizes,
    ) -> Result<Memory, DeviceError> {
        let device = &account.device().clone();
        let kv = config.kv_heads * config.head_dim;
        let few = |label, cols| Tensor::zeros(device, label, sizes.logit_rows, cols);
        let words = |label| device.alloc(label, 4 * sizes.logit_rows as u64);
        let cache = Cache::new(device, config, sizes.context)?;
        account.book("keys and values of the conversation");
        let work = Workspace::new(device, config, sizes.pass_rows)?;
        let scratch = (
            Tensor::zeros(device, "k scratch", sizes.pass_rows, kv)?,
            Tensor::zeros(device, "v scratch", sizes.pass_rows, kv)?,
        );
        account.book("workspace of a pass");
        let logits = few("logits", config.vocab)?;
        account.book("logits");
        let memory = Memory {
            rope: device.alloc("rope", 4 * (sizes.context * config.head_dim) as u64)?,
            work,
            scratch,
            cache,
            logits,
            gathered: (few("gathered", config.dim)?, few("gathered norm", config.dim)?),
            gather_rows: words("gather rows")?,
            labels: words("labels")?,
            zero_weights: words("zero weights")?,
            losses: words("losses")?,
            picked: device.alloc("picked", 4 * sampler::picked_words(batch::STREAMS_MAX) as u64)?,
            burst: Burst::new(device)?,
            one: OneRow::new(device, config)?,
        };
        account.book("rotations, rows and choices");
        Ok(memory)
    }
}

/// A model's memory on a device that counts.
pub struct Counted {
    _weights: Weights,
    _memory: Memory,
    /// Its rows.
    pub sizes: Sizes,
}

/// Counts what a model of this header takes on the account's device.
pub async fn count(
    account: &mut Account,
    gguf: &Gguf,
    config: &Config,
    sizes: Sizes,
) -> Result<Counted, ModelError> {
    let weights = Weights::room(account.device(), config, gguf).await?;
    account.book("weights");
    let memory = Memory::new(account, config, sizes)?;
    Ok(Counted { _weights: weights, _memory: memory, sizes })
}

/// Refuses a model that is known not to fit, before anything is allocated.
pub(super) async fn check(
    device: &Device,
    gguf: &Gguf,
    config: &Config,
    sizes: Sizes,
) -> Result<(), ModelError> {
    let limits = device.limits();
    let own_bytes = device.stats().bytes;
    let counting = Device::counting(Limits { memory_bytes_max: None, own_bytes, ..limits });
    let _counted = count(&mut Account::new(&counting), gguf, config, sizes).await?;
    let advice = "take a shorter context or a smaller model";
    Ok(limits.check_room("loading the model", counting.stats().bytes, advice)?)
}
