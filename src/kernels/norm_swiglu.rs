//! h = silu(G norm(x)) · (U norm(x)) for one row x: the first half of the feed-forward network in one dispatch, for
//! decoding (Shazeer 2020, "GLU Variants Improve Transformer").
//!
//! The two matrices are read side by side, so that neither product visits memory. The norm is that of
//! [`super::rms_norm`].

use super::gemv::Gemv;
use super::launch::{Checks, groups, params, weight_type};
use super::norm_linears::are_alike;
use super::rms_norm::{Norm, norm_row};
use super::row_tasks::{Rows, rows_times};
use super::swiglu::gate;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape};
use crate::tensor::{Tensor, Weight};

params! {
    n: u32,
    k: u32,
    gate_scales: u32,
    up_scales: u32,
    eps: f32,
    ty: u32,
    pad: [u32; 2],
}

/// The kernel of [`norm_swiglu`].
pub static NORM_SWIGLU: KernelDef = KernelDef {
    name: "norm_swiglu",
    wgsl: include_str!("../../shaders/norm_swiglu.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: Gemv::SUM_LINKS,
    cpu,
};

/// h `[1, ff]` from x `[1, in]` and its norm, with the sums of the way `gemv`, through the alike matrices gate and up `[ff, in]`.
pub fn norm_swiglu(
    rec: &mut Recording,
    [gate, up]: [&Weight; 2],
    x: &Tensor,
    norm: Norm<'_>,
    gemv: Gemv,
    h: &Tensor,
) -> Result<(), DeviceError> {
    Checks::new(&NORM_SWIGLU)
        .that(are_alike(&[gate, up]) && gate.rows == up.rows, "weights unlike each other")
        .shape("x", x, 1, gate.cols)
        .shape("h", h, 1, gate.rows)
        .words("g", norm.gain, x.cols)
        .done()?;
    let (gate_part, up_part) = (&gate.parts[0], &up.parts[0]);
    let params = Params {
        n: gate.rows as u32,
        k: x.cols as u32,
        gate_scales: gate_part.scales_at,
        up_scales: up_part.scales_at,
        eps: norm.eps,
        ty: gate.ty.gguf_id(),
        pad: [0; 2],
    };
    let shape = Shape {
        links: &gemv.sum_links(gate.ty),
        overrides: &[("WG", if x.cols < 2048 { 64 } else { 128 })],
        groups: groups(gate.rows.div_ceil(2)),
        flops: 4 * (gate.rows * x.cols) as u64,
    };
    let views = [
        gate_part.buffer.view(),
        up_part.buffer.view(),
        x.view.clone(),
        norm.gain.clone(),
        h.view.clone(),
    ];
    rec.dispatch(&NORM_SWIGLU, &params, &views, &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (n, k) = (p.n as usize, p.k as usize);
    let mut normed = vec![0.0; k];
    norm_row(&call.input::<f32>(2)[..k], &call.input::<f32>(3)[..k], p.eps, &mut normed);
    let matrix = |i: usize, scales: u32| (Rows::Packed(call.input(i), scales as usize), n);
    let of = [matrix(0, p.gate_scales), matrix(1, p.up_scales)];
    let mut both = vec![0.0; 2 * n];
    rows_times(weight_type(p.ty), &normed, &of, &mut both);
    gate(&both[..n], &both[n..], &mut call.output::<f32>(4)[..n]);
}
