//! y = x Wᵀ for one row x: the product of decoding, bound by the reading of the weights.
//!
//! The CPU twin is the program's hottest loop there: a token reads every weight once, as packed blocks.

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
    pad: [u32; 2],
}

/// The kernel of [`matvec`].
pub static MATVEC: KernelDef = KernelDef {
    name: "matvec",
    wgsl: include_str!("../../shaders/matvec.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: Gemv::LINKS,
    cpu,
};

/// y[0, n] (+)= Σ_k x[0, k] w[n, k], computed in the way `gemv`; x is `[1, in]`, w `[out, in]`, y `[1, out]`.
pub fn matvec(
    rec: &mut Recording,
    w: &Weight,
    x: &Tensor,
    y: &Tensor,
    accumulate: bool,
    gemv: Gemv,
) -> Result<(), DeviceError> {
    check(&MATVEC, w, x, y)?;
    Checks::new(&MATVEC).that(x.rows == 1, "x has more than one row").done()?;
    for part in &w.parts {
        let params = Params {
            n: part.rows as u32,
            k: w.cols as u32,
            scales_at: part.scales_at,
            y_at: part.row as u32,
            accumulate: u32::from(accumulate),
            ty: w.ty.gguf_id(),
            pad: [0; 2],
        };
        let shape = Shape {
            links: &gemv.links(w.ty),
            // A lane takes 8 columns a step: short rows would leave lanes of a larger workgroup idle.
            overrides: &[("WG", if w.cols < 2048 { 64 } else { 128 })],
            groups: groups(part.rows.div_ceil(4)),
            flops: 2 * (part.rows * w.cols) as u64,
        };
        let views = [part.buffer.view(), x.view.clone(), y.view.clone()];
        rec.dispatch(&MATVEC, &params, &views, &shape)?;
    }
    Ok(())
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let x = &call.input::<f32>(1)[..p.k as usize];
    let y = &mut call.output::<f32>(2)[p.y_at as usize..][..p.n as usize];
    let matrix = (weight_type(p.ty), call.input::<u32>(0), p.scales_at as usize);
    rows_times(matrix, x, y, p.accumulate != 0);
}

/// y (+)= the first rows of a packed matrix (its type, words and scales' place) times x.
pub(super) fn rows_times(
    (ty, words, scales_at): (TensorType, &[u32], usize),
    x: &[f32],
    y: &mut [f32],
    accumulate: bool,
) {
    // A task of about 64 thousand multiplications: some microseconds, and many tasks for a large matrix.
    let step = (1usize << 16).div_ceil(x.len());
    let x = pack::Blocks::of(x, ty);
    for_each_chunk_mut(y, step, |i, y| {
        if !accumulate {
            pack::dot_rows(ty, (words, scales_at), i * step, &x, y);
            return;
        }
        let mut dots = vec![0.0; y.len()];
        pack::dot_rows(ty, (words, scales_at), i * step, &x, &mut dots);
        y.iter_mut().zip(dots).for_each(|(y, dot)| *y += dot);
    });
}
