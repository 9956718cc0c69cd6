//! y = x Wᵀ for one row x: the product of decoding, bound by the reading of the weights; and B u with it, where an adapter
//! is beside W and its u = A x behind x.
//!
//! The CPU twin is the program's hottest loop there: a token reads every weight once, as packed blocks.

use super::factors::{self, Factors, add_b, spread_shares};
use super::gemv::Gemv;
use super::launch::{Checks, groups, params, weight_type};
use super::parallel::for_each_chunk_mut;
use super::product::check;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape};
use crate::quant::{TensorType, pack};
use crate::tensor::{Tensor, Weight};

params! {
    n: u32,
    k: u32,
    scales_at: u32,
    y_at: u32,
    accumulate: u32,
    ty: u32,
    rank: u32,
    b_at: u32,
    shares: u32,
    outputs: u32,
    outputs_at: u32,
    pad: u32,
}

/// The kernel of [`matvec`].
pub static MATVEC: KernelDef = KernelDef {
    name: "matvec",
    wgsl: include_str!("../../shaders/matvec.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: Gemv::LINKS,
    cpu,
};

/// y[0, n] (+)= Σ_k x[0, k] w[n, k], computed in the way `gemv`; x is `[1, in]`, w `[out, in]`, y `[1, out]`. With an
/// adapter's factor `b` (the first of its places) y (+)= c ∘ (w x + B u), where u is the sum of so many shares `[rank]`
/// behind x and c what outputs are multiplied with, if anything; w is in one part then.
pub fn matvec(
    rec: &mut Recording,
    w: &Weight,
    x: &Tensor,
    y: &Tensor,
    accumulate: bool,
    gemv: Gemv,
    b: Option<(Factors<'_>, usize)>,
) -> Result<(), DeviceError> {
    check(&MATVEC, w, x, y)?;
    let (b, shares) = b.map_or((None, 0), |(b, shares)| (Some(b), shares));
    let rank = factors::rank(b);
    Checks::new(&MATVEC)
        .that(x.rows == 1, "x has more than one row")
        .that(b.is_none() || w.parts.len() == 1, "an adapter beside a weight in parts")
        .that(rank == 0 || w.rows.is_multiple_of(4), "rows are no multiple of 4")
        .that(rank.is_multiple_of(4), "a rank that is no multiple of 4")
        .words("x", &x.view, x.cols + shares * rank)
        .done()?;
    let [outputs_at, .., outputs] = factors::output_params(b);
    for part in &w.parts {
        let params = Params {
            n: part.rows as u32,
            k: w.cols as u32,
            scales_at: part.scales_at,
            y_at: part.row as u32,
            accumulate: u32::from(accumulate),
            ty: w.ty.gguf_id(),
            rank: rank as u32,
            b_at: factors::starts(b)[0],
            shares: shares as u32,
            outputs,
            outputs_at,
            pad: 0,
        };
        let shape = Shape {
            links: &gemv.links(w.ty),
            // A lane takes 8 columns a step: short rows would leave lanes of a larger workgroup idle.
            overrides: &[("WG", if w.cols < 2048 { 64 } else { 128 })],
            groups: groups(part.rows.div_ceil(4)),
            flops: 2 * (part.rows * w.cols) as u64,
        };
        let lora = factors::view(b, &x.view).clone();
        let views = [part.buffer.view(), x.view.clone(), lora, y.view.clone()];
        rec.dispatch(&MATVEC, &params, &views, &shape)?;
    }
    Ok(())
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (k, rank) = (p.k as usize, p.rank as usize);
    let (x, behind) = call.input::<f32>(1).split_at(k);
    let y = &mut call.output::<f32>(3)[p.y_at as usize..][..p.n as usize];
    let matrix = (weight_type(p.ty), call.input::<u32>(0), p.scales_at as usize);
    if rank == 0 {
        rows_times(matrix, x, y, p.accumulate != 0, None);
        return;
    }
    let u = spread_shares(&behind[..p.shares as usize * rank], rank);
    let b = &call.input::<u16>(2)[4 * p.b_at as usize..];
    let outputs = factors::outputs_of(call.input(2), [p.outputs_at, 0, 0, p.outputs], 0);
    rows_times(matrix, x, y, p.accumulate != 0, Some(Beside { b, u: &u, outputs }));
}

/// What an adapter adds to the rows of a product, and multiplies them with.
pub(super) struct Beside<'a> {
    b: &'a [u16],
    u: &'a [f32],
    outputs: Option<&'a [f32]>,
}

/// y (+)= the first rows of a packed matrix (its type, words and scales' place) times x; with an adapter c ∘ (that + B u).
pub(super) fn rows_times(
    (ty, words, scales_at): (TensorType, &[u32], usize),
    x: &[f32],
    y: &mut [f32],
    accumulate: bool,
    lora: Option<Beside<'_>>,
) {
    // A task of about 64 thousand multiplications: some microseconds, and many tasks for a large matrix.
    let step = (1usize << 16).div_ceil(x.len()).next_multiple_of(4);
    let x = pack::Blocks::of(x, ty);
    for_each_chunk_mut(y, step, |i, y| {
        if !accumulate {
            pack::dot_rows(ty, (words, scales_at), i * step, &x, y);
            add_beside(&lora, i * step, y);
            return;
        }
        let mut dots = vec![0.0; y.len()];
        pack::dot_rows(ty, (words, scales_at), i * step, &x, &mut dots);
        add_beside(&lora, i * step, &mut dots);
        y.iter_mut().zip(dots).for_each(|(y, dot)| *y += dot);
    });
}

/// The adapter's share of the rows from `first` on, whose products are in y.
fn add_beside(lora: &Option<Beside<'_>>, first: usize, y: &mut [f32]) {
    if let Some(Beside { b, u, outputs }) = lora {
        add_b(&b[first * u.len() / 4..], u, y);
        factors::multiply(outputs.map(|outputs| &outputs[first..]), y);
    }
}
