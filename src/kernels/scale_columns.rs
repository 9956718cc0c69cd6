//! y = c ∘ y, row by row and in place: what DoRA and (IA)³ do to a linear's outputs or inputs, forward and backward.
//!
//! It knows neither method: c is m / ‖W + s B A‖ for the one and l for the other.

use super::by_column;
pub(super) use super::by_column::LAYOUT;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, View};
use crate::tensor::Tensor;

/// The kernel of [`scale_columns`].
pub static SCALE_COLUMNS: KernelDef = KernelDef {
    name: "scale_columns",
    wgsl: include_str!("../../shaders/scale_columns.wgsl"),
    bindings: &[Access::Read, Access::Write],
    params_bytes: by_column::PARAMS_BYTES,
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// y[t, j] *= c[j] for y `[rows, d]`, c `[d]`.
pub fn scale_columns(rec: &mut Recording, c: &View, y: &Tensor) -> Result<(), DeviceError> {
    by_column::dispatch(rec, &SCALE_COLUMNS, ("c", c), y)
}

fn cpu(call: &CpuCall<'_>) {
    by_column::each(call, |y, c| *y *= c);
}
