//! A product by cooperative matrices: the grid and the pipeline that the forward product and its gradient share.
//!
//! Not a kernel itself. The two kernels are those of `matmul` and `matmul_dx` with f16 operands; their params, bindings
//! and CPU twins are the same. They have never run on hardware: a device must report a fitting configuration, and
//! `model::tiles` checks what it computes before a model uses it.

use super::launch::matrices_links;
use crate::device::{DeviceError, KernelDef, Matrices, Recording, Shape, View};
use crate::quant::TensorType;
use bytemuck::Pod;

/// Dispatches a product of `[rows, cols]` numbers: a workgroup makes a tile of four times four matrices.
pub(super) fn dispatch_matrices<P: Pod>(
    rec: &mut Recording,
    (kernel, matrices): (&'static KernelDef, Matrices),
    params: &P,
    views: &[View],
    (ty, [rows, cols]): (TensorType, [usize; 2]),
    flops: u64,
) -> Result<(), DeviceError> {
    let tile = 4 * matrices.side as usize;
    let shape = Shape {
        links: &matrices_links(ty, matrices.side),
        overrides: &[("WG", matrices.lanes)],
        groups: [cols.div_ceil(tile) as u32, rows.div_ceil(tile) as u32, 1],
        flops,
    };
    rec.dispatch(kernel, params, views, &shape)
}
