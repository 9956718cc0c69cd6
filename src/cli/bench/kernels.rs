//! Each kernel over the shapes of a model: bytes and operations a second, and their share of what the device can do.
//!
//! Decoding's kernels run on one row, those of prefill and training on many. Invariant: each case has operands of its own,
//! which are gone before the next one begins.

use super::limits::limits;
use super::operands::Operands;
use super::plan::Plan;
use super::table::{Shapes, Table};
use super::{many_rows, one_row};
use crate::device::Device;
use crate::error::Error;
use serde_json::{Value, json};

/// Limits of the device, and every case, as JSON.
pub async fn kernels(device: &Device, shapes: &Shapes, plan: &Plan) -> Result<Value, Error> {
    let limits = limits(device, plan.copy_bytes, plan.fma_groups, plan.sample_ms).await?;
    let operands = Operands::new(device, plan.copy_bytes / 2);
    let mut table = Table { device, shapes, plan, operands, limits, cases: Vec::new() };
    one_row::cases(&mut table).await?;
    for rows in &plan.rows {
        many_rows::cases(&mut table, *rows).await?;
    }
    Ok(json!({
        "shapes_of": shapes.config.name, "copy_bytes": limits.copy_bytes,
        "copy_gb_per_s": limits.bytes_per_s / 1e9, "peak_gflop_per_s": limits.flops_per_s / 1e9,
        "cases": table.cases,
    }))
}
