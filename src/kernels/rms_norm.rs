//! y = x g / sqrt(mean(x²) + eps), row by row (Zhang & Sennrich 2019).
//!
//! A row is whatever the caller takes for one: a token's residual stream, or one head of a token's queries. Nothing is
//! kept for the backward pass, which computes the row's scale again.

use super::lanes;
use super::launch::{Checks, groups, params, row_lanes};
use super::parallel::for_each_chunk_mut;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::Tensor;
use multiversion::multiversion;

/// A norm as the fused kernels take it: its gain `[in]`, and its epsilon.
#[derive(Clone, Copy)]
pub struct Norm<'a> {
    /// The gain.
    pub gain: &'a View,
    /// What keeps the root from zero.
    pub eps: f32,
}

params! {
    rows: u32,
    cols: u32,
    eps: f32,
    pad: u32,
}

/// The kernel of [`rms_norm`].
pub static RMS_NORM: KernelDef = KernelDef {
    name: "rms_norm",
    wgsl: include_str!("../../shaders/rms_norm.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// y = x g / rms(x) for x and y `[rows, d]`, g `[d]`.
pub fn rms_norm(
    rec: &mut Recording,
    x: &Tensor,
    g: &View,
    eps: f32,
    y: &Tensor,
) -> Result<(), DeviceError> {
    Checks::new(&RMS_NORM).shape("y", y, x.rows, x.cols).words("g", g, x.cols).done()?;
    let params = Params { rows: x.rows as u32, cols: x.cols as u32, eps, pad: 0 };
    let shape = Shape {
        overrides: &[("WG", row_lanes(x.cols))],
        groups: groups(x.rows),
        flops: 4 * (x.rows * x.cols) as u64,
        ..Shape::default()
    };
    rec.dispatch(&RMS_NORM, &params, &[x.view.clone(), g.clone(), y.view.clone()], &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rows, cols) = (p.rows as usize, p.cols as usize);
    let (x, g) = (call.input::<f32>(0), &call.input::<f32>(1)[..cols]);
    // Some rows a task, so that a task is worth a thread's waking.
    let step = (1usize << 15).div_ceil(cols);
    for_each_chunk_mut(&mut call.output::<f32>(2)[..rows * cols], step * cols, |i, y| {
        for (y, x) in y.chunks_mut(cols).zip(x[i * step * cols..].chunks(cols)) {
            norm_row(x, g, p.eps, y);
        }
    });
}

/// The norm of one row.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub(super) fn norm_row(x: &[f32], g: &[f32], eps: f32, y: &mut [f32]) {
    let scale = 1.0 / (lanes::dot(x, x) / x.len() as f32 + eps).sqrt();
    for ((y, x), g) in y.iter_mut().zip(x).zip(g) {
        *y = x * scale * g;
    }
}
