//! What measures one case of a kernel and keeps its row: bytes and operations a second, and their share of the limits.
//!
//! It knows no case. Invariant: a row's bytes and operations are the recorder's, of the very recording that was timed.

use super::limits::Limits;
use super::operands::Operands;
use super::plan::Plan;
use super::timing::{Timing, time};
use crate::device::{Command, Device, DeviceError, Recording};
use crate::error::Error;
use crate::model::config::Config;
use crate::model::lora::Module;
use crate::quant::TensorType;
use serde_json::{Value, json};

/// The shapes that kernels run on.
pub struct Shapes {
    /// The model's.
    pub config: Config,
    /// Types of the seven linears, in `Module::ALL`'s order.
    pub linears: [TensorType; 7],
    /// Type of the vocabulary's matrix.
    pub head: TensorType,
}

impl Shapes {
    /// A linear's type and `(out, in)` features.
    pub fn linear(&self, module: Module) -> (TensorType, usize, usize) {
        let (rows, cols) = module.shape(&self.config);
        (self.linears[module as usize], rows, cols)
    }

    /// The vocabulary's matrix.
    pub fn head(&self) -> (TensorType, usize, usize) {
        (self.head, self.config.vocab, self.config.dim)
    }
}

/// What measures a case and keeps the results.
pub struct Table<'a> {
    /// Where kernels run.
    pub device: &'a Device,
    /// What they run on.
    pub shapes: &'a Shapes,
    /// How long.
    pub plan: &'a Plan,
    /// Their operands.
    pub operands: Operands,
    /// What the device can do.
    pub limits: Limits,
    /// The rows so far.
    pub cases: Vec<Value>,
}

impl Table<'_> {
    /// Measures what `record` records on each of `copies` operands in turn; `what` and `shape` tell a person which case
    /// it is.
    pub async fn case(
        &mut self,
        (what, rows, shape): (&str, usize, &[usize]),
        copies: usize,
        record: impl Fn(&mut Recording, usize) -> Result<(), DeviceError>,
    ) -> Result<(), Error> {
        let timing = time(self.device, copies, self.plan.sample_ms, &record).await?;
        let mut one = Recording::new();
        record(&mut one, 0)?;
        let kernel = one.commands().iter().find_map(|command| match command {
            Command::Dispatch(dispatch) => Some(dispatch.kernel.name),
            _ => None,
        });
        self.cases.push(self.row(kernel.unwrap_or(what), what, (rows, shape), timing));
        Ok(())
    }

    fn row(
        &self,
        kernel: &str,
        what: &str,
        (rows, shape): (usize, &[usize]),
        timing: Timing,
    ) -> Value {
        json!({
            "kernel": kernel, "what": what, "rows": rows, "shape": shape,
            "bytes": timing.bytes, "flops": timing.flops, "ms": timing.seconds * 1e3,
            "gb_per_s": timing.bytes_per_s() / 1e9,
            "gflop_per_s": timing.flops_per_s() / 1e9,
            "share_of_copy": timing.bytes_per_s() / self.limits.bytes_per_s,
            "share_of_peak": timing.flops_per_s() / self.limits.flops_per_s,
        })
    }
}
