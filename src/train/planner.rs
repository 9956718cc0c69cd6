//! The planner: what a model and a training run will take on a device, from the header of the model's file.
//!
//! It allocates everything, in the order of a run and through the run's own functions, on a device that only counts.
//! Invariant: what it says is what `Device::stats` says afterwards, as long as a run allocates nothing elsewhere.

use super::TrainError;
use super::memory::{self, Guards, Memory, Shape};
use super::plan::Plan;
use crate::device::{Account, Device, DeviceError, Item, Limits};
use crate::format::gguf::Gguf;
use crate::model::ModelError;
use crate::model::config::Config;
use crate::model::dora::Norms;
use crate::model::halves::Halves;
use crate::model::lora::{Flat, LoraLayout, Method};
use crate::model::memory::{Sizes, count};
use crate::model::weights::LOADER_BYTES;
use serde::Serialize;

/// A training run as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Run {
    /// The adapter's method.
    pub method: Method,
    /// The adapter's rank.
    pub rank: usize,
    /// Most tokens of a pass.
    pub tokens: usize,
    /// What protects earlier learning.
    pub guards: Guards,
}

/// Bytes of a device that a model takes, and a training run with it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemoryPlan {
    /// Rows of each kind.
    #[serde(flatten)]
    pub sizes: Sizes,
    /// What is taken for answering.
    pub answering: Vec<Item>,
    /// What is taken beside it for training.
    pub training: Vec<Item>,
    /// Layers whose activations are kept for the backward pass; the others are computed again.
    pub kept_layers: usize,
    /// Bytes for answering.
    pub answering_bytes: u64,
    /// Bytes at most.
    pub bytes: u64,
    /// Bytes that loading holds beside these for a while, on the host and in the device's queue.
    pub loader_bytes: u64,
    /// What the device allows.
    pub limits: Limits,
}

impl MemoryPlan {
    /// Plans answering with `context` tokens of a conversation, and `run` beside it. What is more than `limits` allow in
    /// all is counted to its end: [`MemoryPlan::check`] refuses it.
    pub async fn new(
        limits: Limits,
        gguf: &Gguf,
        context: usize,
        run: Option<Run>,
    ) -> Result<MemoryPlan, TrainError> {
        let config = &Config::from_gguf(gguf)?;
        let sizes = Sizes::new(config, limits, context)?;
        let device = Device::counting(Limits { memory_bytes_max: None, ..limits });
        let mut account = Account::new(&device);
        account.items.push(Item { what: "parameters of kernels", bytes: limits.own_bytes });
        let counted = count(&mut account, gguf, config, sizes).await?;
        let answering = std::mem::take(&mut account.items);
        let answering_bytes = device.stats().bytes;
        let kept_layers = match run {
            Some(run) => train(&mut account, config, counted.sizes, run, limits)?,
            None => 0,
        };
        Ok(MemoryPlan {
            sizes,
            answering,
            training: account.items,
            kept_layers,
            answering_bytes,
            bytes: device.stats().bytes_peak,
            loader_bytes: LOADER_BYTES,
            limits,
        })
    }

    /// Refuses what the limits do not allow.
    pub fn check(&self) -> Result<(), DeviceError> {
        let advice = "lower the context, the rank or the tokens of a pass, or take a smaller model";
        self.limits.check_room("this", self.bytes, advice)
    }
}

/// Counts a run; returns how many layers it keeps.
fn train(
    account: &mut Account,
    config: &Config,
    sizes: Sizes,
    run: Run,
    limits: Limits,
) -> Result<usize, TrainError> {
    let layout = &LoraLayout::new(config, run.method, run.rank);
    let rows = run.tokens.min(sizes.pass_rows);
    let shape = Shape { config, layout, rows, logit_rows: sizes.logit_rows, guards: run.guards };
    let adapter = Flat::zeros(account.device(), "adapter", layout).map_err(ModelError::from)?;
    account.book("adapter");
    let norms = match run.method {
        Method::Dora => Some(Norms::new(account.device(), config, run.rank)),
        _ => None,
    };
    let norms = norms.transpose().map_err(ModelError::from)?;
    account.book("norms of adapted rows");
    let halves = Halves::new(account.device(), config, run.method, layout.rank);
    let halves = halves.map_err(ModelError::from)?;
    account.book("adapter's copy for answers");
    let plan = match memory::fit(limits, account.device().stats().bytes, shape) {
        Err(DeviceError::NoRoom { .. }) => Plan::new(config, rows, 0),
        fitting => fitting?,
    };
    let memory = Memory::new(account, shape, plan)?;
    // All live until the peak was counted.
    drop((adapter, norms, halves, memory));
    Ok((0..config.layers).filter(|layer| plan.keeps(*layer)).count())
}
