//! The gradient of `rms_norm` with respect to its input, added to dx.
//!
//! forward: y = x g / rms with rms = sqrt(mean(x²) + eps)
//! dx_j += g_j dy_j / rms - x_j (Σ_i dy_i g_i x_i) / (n rms³)

use super::lanes::{self, LANES};
use super::launch::{Checks, groups, params, row_lanes};
use super::parallel::for_each_chunk_mut;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::Tensor;
use multiversion::multiversion;

params! {
    rows: u32,
    cols: u32,
    eps: f32,
    pad: u32,
}

/// The kernel of [`rms_norm_dx`].
pub static RMS_NORM_DX: KernelDef = KernelDef {
    name: "rms_norm_dx",
    wgsl: include_str!("../../shaders/rms_norm_dx.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// dx += the gradient through y = rms_norm(x, g); x, dy and dx are `[rows, d]`, g `[d]`.
pub fn rms_norm_dx(
    rec: &mut Recording,
    x: &Tensor,
    g: &View,
    dy: &Tensor,
    eps: f32,
    dx: &Tensor,
) -> Result<(), DeviceError> {
    Checks::new(&RMS_NORM_DX)
        .shape("dy", dy, x.rows, x.cols)
        .shape("dx", dx, x.rows, x.cols)
        .words("g", g, x.cols)
        .done()?;
    let params = Params { rows: x.rows as u32, cols: x.cols as u32, eps, pad: 0 };
    let shape = Shape {
        overrides: &[("WG", row_lanes(x.cols))],
        groups: groups(x.rows),
        flops: 10 * (x.rows * x.cols) as u64,
        ..Shape::default()
    };
    let views = [x.view.clone(), g.clone(), dy.view.clone(), dx.view.clone()];
    rec.dispatch(&RMS_NORM_DX, &params, &views, &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rows, cols) = (p.rows as usize, p.cols as usize);
    let (x, g) = (call.input::<f32>(0), &call.input::<f32>(1)[..cols]);
    let dy = call.input::<f32>(2);
    let step = (1usize << 14).div_ceil(cols);
    for_each_chunk_mut(&mut call.output::<f32>(3)[..rows * cols], step * cols, |i, dx| {
        let start = i * step * cols;
        let rows = x[start..].chunks(cols).zip(dy[start..].chunks(cols));
        for (dx, (x, dy)) in dx.chunks_mut(cols).zip(rows) {
            grad_row(x, g, dy, p.eps, dx);
        }
    });
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn grad_row(x: &[f32], g: &[f32], dy: &[f32], eps: f32, dx: &mut [f32]) {
    let n = x.len() as f32;
    let scale = 1.0 / (lanes::dot(x, x) / n + eps).sqrt();
    let mut products = [0f32; LANES];
    for ((x, g), dy) in x.chunks(LANES).zip(g.chunks(LANES)).zip(dy.chunks(LANES)) {
        for (((sum, x), g), dy) in products.iter_mut().zip(x).zip(g).zip(dy) {
            *sum += dy * g * x;
        }
    }
    let pull = lanes::sum_lanes(products) * scale * scale * scale / n;
    for (((dx, x), g), dy) in dx.iter_mut().zip(x).zip(g).zip(dy) {
        *dx += g * dy * scale - x * pull;
    }
}
