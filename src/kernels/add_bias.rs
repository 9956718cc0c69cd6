//! y += b, row by row and in place: the bias of a frozen linear.
//!
//! A kernel of its own, since only q, k and v of one architecture have biases: every other product would carry a binding
//! for nothing. Its gradient with respect to y is the identity, and b is frozen, so there is no backward kernel.

use super::by_column;
pub(super) use super::by_column::LAYOUT;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, View};
use crate::tensor::Tensor;

/// The kernel of [`add_bias`].
pub static ADD_BIAS: KernelDef = KernelDef {
    name: "add_bias",
    wgsl: include_str!("../../shaders/add_bias.wgsl"),
    bindings: &[Access::Read, Access::Write],
    params_bytes: by_column::PARAMS_BYTES,
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// y[t, j] += b[j] for y `[rows, d]`, b `[d]`.
pub fn add_bias(rec: &mut Recording, b: &View, y: &Tensor) -> Result<(), DeviceError> {
    by_column::dispatch(rec, &ADD_BIAS, ("b", b), y)
}

fn cpu(call: &CpuCall<'_>) {
    by_column::each(call, |y, b| *y += b);
}
