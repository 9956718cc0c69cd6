//! q = Q norm(x), k = K norm(x), v = V norm(x) for one row x: a norm and the products behind it in one dispatch, for
//! decoding.
//!
//! The matrices keep their own buffers: only their types must be one. The norm is that of [`super::rms_norm`]; its scale
//! is a factor of every sum.

use super::launch::{Checks, groups, params, weight_link, weight_type};
use super::matvec::rows_times;
use super::rms_norm::norm_row;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::{Tensor, Weight};

params! {
    q_rows: u32,
    kv_rows: u32,
    cols: u32,
    q_scales: u32,
    k_scales: u32,
    v_scales: u32,
    eps: f32,
    ty: u32,
}

/// The kernel of [`norm_qkv`].
pub static NORM_QKV: KernelDef = KernelDef {
    name: "norm_qkv",
    wgsl: include_str!("../../shaders/norm_qkv.wgsl"),
    bindings: &[
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Write,
        Access::Write,
        Access::Write,
    ],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &["weight"],
    cpu,
};

/// Can one dispatch read all of `weights`? They have one type and one number of columns, and each is in one part.
pub fn are_alike(weights: &[&Weight]) -> bool {
    let shape = |w: &Weight| (w.ty, w.cols, w.parts.len());
    weights.iter().all(|w| shape(w) == (weights[0].ty, weights[0].cols, 1))
}

/// q `[1, H hd]`, k and v `[1, KV hd]` from x `[1, in]` and its norm's gain g `[in]`, through alike matrices `[out, in]`.
pub fn norm_qkv(
    rec: &mut Recording,
    weights: [&Weight; 3],
    x: &Tensor,
    g: &View,
    eps: f32,
    qkv: [&Tensor; 3],
) -> Result<(), DeviceError> {
    let [wq, wk, wv] = weights;
    let [q, k, v] = qkv;
    Checks::new(&NORM_QKV)
        .that(are_alike(&weights) && wk.rows == wv.rows, "weights unlike each other")
        .shape("x", x, 1, wq.cols)
        .shape("q", q, 1, wq.rows)
        .shape("k", k, 1, wk.rows)
        .shape("v", v, 1, wv.rows)
        .words("g", g, x.cols)
        .done()?;
    let [q_scales, k_scales, v_scales] = weights.map(|w| w.parts[0].scales_at);
    let params = Params {
        q_rows: wq.rows as u32,
        kv_rows: wk.rows as u32,
        cols: x.cols as u32,
        q_scales,
        k_scales,
        v_scales,
        eps,
        ty: wq.ty.gguf_id(),
    };
    let shape = Shape {
        links: &weight_link(wq.ty),
        overrides: &[("WG", if x.cols < 2048 { 64 } else { 128 })],
        groups: groups(wq.rows.div_ceil(4) + 2 * wk.rows.div_ceil(4)),
        flops: 2 * ((wq.rows + 2 * wk.rows) * x.cols) as u64,
    };
    let [bq, bk, bv] = weights.map(|w| w.parts[0].buffer.view());
    let [q, k, v] = qkv.map(|tensor| tensor.view.clone());
    rec.dispatch(&NORM_QKV, &params, &[bq, bk, bv, x.view.clone(), g.clone(), q, k, v], &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let cols = p.cols as usize;
    let mut normed = vec![0.0; cols];
    norm_row(&call.input::<f32>(3)[..cols], &call.input::<f32>(4)[..cols], p.eps, &mut normed);
    let of = [(p.q_rows, p.q_scales), (p.kv_rows, p.k_scales), (p.kv_rows, p.v_scales)];
    for (i, (rows, scales)) in of.into_iter().enumerate() {
        let matrix = (weight_type(p.ty), call.input::<u32>(i), scales as usize);
        let y = &mut call.output::<f32>(5 + i)[..rows as usize];
        rows_times(matrix, &normed, y, false);
    }
}
