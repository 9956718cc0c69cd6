//! dx = dy W: the gradient through a frozen weight, read from the same packed blocks as the forward product.
//!
//! forward: y = x Wᵀ. The weight itself gets no gradient, and no transposed copy of it exists.

use super::launch::{Checks, params, weight_link, weight_type};
use super::panel::{Packed, with_scratch};
use super::parallel::{Operand, Tile, for_each_tile, tile_product};
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape};
use crate::tensor::{Tensor, Weight};
use std::cell::RefCell;

params! {
    rows: u32,
    n: u32,
    k: u32,
    scales_at: u32,
    dy_cols: u32,
    dy_col: u32,
    accumulate: u32,
    ty: u32,
}

/// The kernel of [`matmul_dx`].
pub static MATMUL_DX: KernelDef = KernelDef {
    name: "matmul_dx",
    wgsl: include_str!("../../shaders/matmul_dx.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &[],
    links: &["weight"],
    cpu,
};

/// dx[t, k] (+)= Σ_n dy[t, n] w[n, k]; dy is `[rows, out]`, w `[out, in]`, dx `[rows, in]`.
pub fn matmul_dx(
    rec: &mut Recording,
    w: &Weight,
    dy: &Tensor,
    dx: &Tensor,
    accumulate: bool,
) -> Result<(), DeviceError> {
    Checks::new(&MATMUL_DX)
        .shape("dy", dy, dy.rows, w.rows)
        .shape("dx", dx, dy.rows, w.cols)
        .done()?;
    for (i, part) in w.parts.iter().enumerate() {
        let params = Params {
            rows: dy.rows as u32,
            n: part.rows as u32,
            k: w.cols as u32,
            scales_at: part.scales_at,
            dy_cols: dy.cols as u32,
            dy_col: part.row as u32,
            // Later parts add to what the first one wrote.
            accumulate: u32::from(accumulate || i > 0),
            ty: w.ty.gguf_id(),
        };
        let shape = Shape {
            links: &weight_link(w.ty),
            groups: [w.cols.div_ceil(64) as u32, dy.rows.div_ceil(64) as u32, 1],
            flops: 2 * (dy.rows * part.rows * w.cols) as u64,
            ..Shape::default()
        };
        let views = [part.buffer.view(), dy.view.clone(), dx.view.clone()];
        rec.dispatch(&MATMUL_DX, &params, &views, &shape)?;
    }
    Ok(())
}

/// Elements of a panel of W's rows: 1 MiB of f32, which two cores' second-level caches hold.
const PANEL: usize = 1 << 18;

/// What a task writes of dx: rows, and columns that are a multiple of the register tiles (24 and 48).
const TILE: [usize; 2] = [64, 192];

thread_local! {
    static ROWS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rows, k, stride) = (p.rows as usize, p.k as usize, p.dy_cols as usize);
    let dy = &call.input::<f32>(1)[p.dy_col as usize..];
    let dx = &mut call.output::<f32>(2)[..rows * k];
    let scales_at = p.scales_at as usize;
    let w = Packed { ty: weight_type(p.ty), words: call.input(0), scales_at, cols: k };
    let (n, step) = (p.n as usize, (PANEL / k).max(1));
    with_scratch(&ROWS, step.min(n) * k, |scratch| {
        for first in (0..n).step_by(step) {
            let panel = &mut scratch[..step.min(n - first) * k];
            w.rows_together(first, panel);
            let panel = &*panel;
            let accumulate = p.accumulate != 0 || first > 0;
            for_each_tile(Tile::of(dx, k, [rows, k]), TILE, |[row, col], dx| {
                let dy = Operand::rows(&dy[row * stride + first..], stride);
                let panel = Operand::rows(&panel[col..], k);
                tile_product(step.min(n - first), dy, panel, dx, accumulate);
            });
        }
    });
}
