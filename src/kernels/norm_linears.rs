//! y = [W0 norm(x) | W1 norm(x) | W2 norm(x)] for one row x: a norm and the products behind it in one dispatch, for
//! decoding; and behind them u = A norm(x) of each, where an adapter is beside the matrices.
//!
//! The matrices keep their own buffers: only their types must be one. The norm is that of [`super::rms_norm`]; its scale
//! is a factor of every sum.

use super::factors::{self, Factors};
use super::gemv::Gemv;
use super::launch::{Checks, groups, params, weight_type};
use super::rms_norm::{Norm, norm_row};
use super::row_tasks::{Rows, rows_times};
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::{Tensor, Weight};

params! {
    rows: [u32; 4],
    scales: [u32; 4],
    a_at: [u32; 4],
    cols: u32,
    eps: f32,
    ty: u32,
    pad: u32,
}

/// The kernel of [`norm_linears`].
pub static NORM_LINEARS: KernelDef = KernelDef {
    name: "norm_linears",
    wgsl: include_str!("../../shaders/norm_linears.wgsl"),
    bindings: &[
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Write,
    ],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: Gemv::SUM_LINKS,
    cpu,
};

/// Can one dispatch read all of `weights`? They have one type and one number of columns, and each is in one part.
pub fn are_alike(weights: &[&Weight]) -> bool {
    let shape = |w: &Weight| (w.ty, w.cols, w.parts.len());
    weights.iter().all(|w| shape(w) == (weights[0].ty, weights[0].cols, 1))
}

/// y from x `[1, in]` and its norm, with the sums of the way `gemv`, through one to three alike matrices `[out, in]`: their products one
/// after another, then, with an adapter's `a`, u `[rank]` of each matrix.
pub fn norm_linears(
    rec: &mut Recording,
    weights: &[&Weight],
    x: &Tensor,
    norm: Norm<'_>,
    gemv: Gemv,
    a: Option<Factors<'_>>,
    y: &View,
) -> Result<(), DeviceError> {
    let rank = factors::rank(a);
    let rows: usize = weights.iter().map(|w| w.rows).sum();
    Checks::new(&NORM_LINEARS)
        .that((1..=3).contains(&weights.len()), "one to three matrices")
        .that(are_alike(weights), "weights unlike each other")
        .that(rank.is_multiple_of(4), "a rank that is no multiple of 4")
        .shape("x", x, 1, weights[0].cols)
        .words("y", y, rows + weights.len() * rank)
        .words("g", norm.gain, x.cols)
        .done()?;
    let of = |i: usize| weights.get(i).copied();
    let mut params = Params {
        rows: [0, 1, 2, 3].map(|i| of(i).map_or(0, |w| w.rows as u32)),
        scales: [0, 1, 2, 3].map(|i| of(i).map_or(0, |w| w.parts[0].scales_at)),
        a_at: [0; 4],
        cols: x.cols as u32,
        eps: norm.eps,
        ty: weights[0].ty.gguf_id(),
        pad: 0,
    };
    params.rows[3] = rank as u32;
    params.a_at[..3].copy_from_slice(&factors::starts(a));
    params.a_at[3] = if rank > 0 { weights.len() as u32 } else { 0 };
    let fours = weights.iter().map(|w| w.rows.div_ceil(4)).sum::<usize>();
    let shape = Shape {
        links: &gemv.sum_links(weights[0].ty),
        overrides: &[("WG", if x.cols < 2048 { 64 } else { 128 })],
        groups: groups(fours + weights.len() * rank / 4),
        flops: 2 * ((rows + weights.len() * rank) * x.cols) as u64,
    };
    // Where there are fewer matrices, the first is bound in the place of the others, unread.
    let matrix = |i: usize| of(i).unwrap_or(weights[0]).parts[0].buffer.view();
    let lora = factors::view(a, &x.view).clone();
    let views =
        [matrix(0), matrix(1), matrix(2), x.view.clone(), norm.gain.clone(), lora, y.clone()];
    rec.dispatch(&NORM_LINEARS, &params, &views, &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let cols = p.cols as usize;
    let mut normed = vec![0.0; cols];
    norm_row(&call.input::<f32>(3)[..cols], &call.input::<f32>(4)[..cols], p.eps, &mut normed);
    let matrix =
        |i: usize| (Rows::Packed(call.input::<u32>(i), p.scales[i] as usize), p.rows[i] as usize);
    let lora = call.input::<u16>(5);
    let factor = |i: usize| (Rows::Halves(&lora[4 * p.a_at[i] as usize..]), p.rows[3] as usize);
    let mut of = [0, 1, 2].map(matrix).to_vec();
    of.extend((0..p.a_at[3] as usize).map(factor));
    let rows = of.iter().map(|(_, rows)| rows).sum();
    rows_times(weight_type(p.ty), &normed, &of, &mut call.output::<f32>(6)[..rows]);
}
