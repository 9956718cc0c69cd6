//! y = x Wᵀ for many rows x: the product of prefill and of training's forward pass.
//!
//! The weights are dequantized once a tile (GPU) or once a panel of rows (CPU); a whole dequantized matrix never
//! exists.

use super::launch::{params, weight_link, weight_type};
use super::matvec::rows_times;
use super::panel::{Packed, transpose, with_scratch};
use super::parallel::{Operand, Tile, for_each_chunk_mut, for_each_tile, matrix_product_here};
use super::product::check;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape};
use crate::tensor::{Tensor, Weight};
use std::cell::RefCell;

params! {
    rows: u32,
    n: u32,
    k: u32,
    scales_at: u32,
    y_cols: u32,
    y_col: u32,
    accumulate: u32,
    ty: u32,
}

/// The kernel of [`matmul`].
pub static MATMUL: KernelDef = KernelDef {
    name: "matmul",
    wgsl: include_str!("../../shaders/matmul.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &[],
    links: &["weight"],
    cpu,
};

/// y[t, n] (+)= Σ_k x[t, k] w[n, k]; x is `[rows, in]`, w `[out, in]`, y `[rows, out]`.
pub fn matmul(
    rec: &mut Recording,
    w: &Weight,
    x: &Tensor,
    y: &Tensor,
    accumulate: bool,
) -> Result<(), DeviceError> {
    check(&MATMUL, w, x, y)?;
    for part in &w.parts {
        let params = Params {
            rows: x.rows as u32,
            n: part.rows as u32,
            k: w.cols as u32,
            scales_at: part.scales_at,
            y_cols: y.cols as u32,
            y_col: part.row as u32,
            accumulate: u32::from(accumulate),
            ty: w.ty.gguf_id(),
        };
        let shape = Shape {
            links: &weight_link(w.ty),
            groups: [part.rows.div_ceil(64) as u32, x.rows.div_ceil(64) as u32, 1],
            flops: 2 * (x.rows * part.rows * w.cols) as u64,
            ..Shape::default()
        };
        let views = [part.buffer.view(), x.view.clone(), y.view.clone()];
        rec.dispatch(&MATMUL, &params, &views, &shape)?;
    }
    Ok(())
}

/// Rows of the weight that a task takes: a panel of them stays in a core's second-level cache, and its products with
/// 24 or 48 rows of x at a time (the crate's register tiles on AVX2 and AVX-512) come out even.
const PANEL_ROWS: usize = 96;

/// Rows of x up to which reading the packed weights once for each of them is faster than making them f32 once for all
/// (`bench/LOG.md`).
const FEW: usize = 6;

thread_local! {
    static X_COLUMNS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    static PANEL: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// yᵀ = W xᵀ, a panel of W's rows a task: with x transposed first the matrix product reads both sides as they lie, and
/// the weights, which are many, are never copied again once they are f32.
fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rows, k, n, stride) = (p.rows as usize, p.k as usize, p.n as usize, p.y_cols as usize);
    let x = &call.input::<f32>(1)[..rows * k];
    let scales_at = p.scales_at as usize;
    let w = Packed { ty: weight_type(p.ty), words: call.input(0), scales_at, cols: k };
    let y = &mut call.output::<f32>(2)[p.y_col as usize..];
    if rows <= FEW {
        for (x, y) in x.chunks(k).zip(y.chunks_mut(stride)) {
            rows_times((w.ty, w.words, scales_at), x, &mut y[..n], p.accumulate != 0, None);
        }
        return;
    }
    let wide = rows.next_multiple_of(8);
    with_scratch(&X_COLUMNS, k * wide, |columns| {
        const STEP: usize = 64;
        for_each_chunk_mut(columns, STEP * wide, |i, columns| {
            let n = columns.len() / wide;
            transpose(&x[i * STEP..], k, Tile::of(columns, wide, [n, rows]), false);
            // What is behind the last row is computed and dropped, so it must be numbers.
            columns.chunks_mut(wide).for_each(|column| column[rows..].fill(0.0));
        });
        let columns = Operand::rows(columns, wide);
        for_each_tile(Tile::of(y, stride, [rows, n]), [rows, PANEL_ROWS], |[_, first], y| {
            let n = y.dims()[1];
            with_scratch(&PANEL, n * (k + wide), |scratch| {
                let (panel, out) = scratch.split_at_mut(n * k);
                w.rows(first, panel);
                let panel = Operand::rows(panel, k);
                matrix_product_here([n, wide, k], panel, columns, (out, wide), false, 1.0);
                transpose(out, wide, y, p.accumulate != 0);
            });
        });
    });
}
