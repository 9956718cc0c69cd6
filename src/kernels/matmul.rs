//! y = x Wᵀ for many rows x: the product of prefill and of training's forward pass.
//!
//! The weights are dequantized once a tile (GPU) or once a panel of rows (CPU); a whole dequantized matrix never
//! exists. Few rows, which is several texts decoding side by side, have a kernel of their own on the GPU: of a tile of 64
//! rows most would be empty. Which kernel runs follows from the number of rows and from how the weight is held.

use super::launch::{params, tile_links, weight_type};
use super::matrices::dispatch_matrices;
use super::matvec::rows_times;
use super::micro;
use super::panel::{transpose, with_scratch};
use super::parallel::{Tile, for_each_chunk_mut, for_each_tile};
use super::product::check;
use super::registers;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape};
use crate::quant::pack::{self, Planes, dequantize_blocks};
use crate::tensor::{Tensor, TileType, Weight};
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
    links: &["weight", "tile"],
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
            links: &tile_links(w),
            groups: [part.rows.div_ceil(64) as u32, x.rows.div_ceil(64) as u32, 1],
            flops: 2 * (x.rows * part.rows * w.cols) as u64,
            ..Shape::default()
        };
        let views = [part.buffer.view(), x.view.clone(), y.view.clone()];
        match w.tile {
            _ if registers::takes(w, x.rows) => {
                let of = (w, [x.rows, part.rows]);
                registers::forward(rec, &MATMUL_REGISTERS, &params, &views, of, shape.flops)?;
            }
            TileType::Matrices(m) => {
                let of = (w.ty, [x.rows, part.rows]);
                dispatch_matrices(rec, (&MATMUL_MATRICES, m), &params, &views, of, shape.flops)?;
            }
            _ => rec.dispatch(&MATMUL, &params, &views, &shape)?,
        }
    }
    Ok(())
}

/// The kernel of [`matmul`] where rows are few, and for all of them where weights are held in registers.
pub static MATMUL_REGISTERS: KernelDef = KernelDef {
    name: "matmul_registers",
    wgsl: include_str!("../../shaders/matmul_registers.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &["weight", "lanes", "four"],
    cpu,
};

/// The kernel of [`matmul`] where the device has cooperative matrices.
pub static MATMUL_MATRICES: KernelDef = KernelDef {
    name: "matmul_matrices",
    wgsl: include_str!("../../shaders/matmul_matrices.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &["weight", "matrices"],
    cpu,
};

/// Weights that a task of few rows reads: some microseconds, and tasks enough for every thread in small matrices.
const FEW_WEIGHTS: usize = 1 << 14;

/// Rows of W that a task takes, by their length: f32, a panel of them stays in a core's second-level cache.
fn panel_rows(k: usize) -> usize {
    ((1 << 16) / k / 12 * 12).clamp(12, 48)
}

thread_local! {
    static COLUMNS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    static PANEL: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rows, k, n, stride) = (p.rows as usize, p.k as usize, p.n as usize, p.y_cols as usize);
    let x = &call.input::<f32>(1)[..rows * k];
    let scales_at = p.scales_at as usize;
    let w = Planes { ty: weight_type(p.ty), words: call.input(0), scales_at };
    let y = &mut call.output::<f32>(2)[p.y_col as usize..];
    if rows == 1 {
        let matrix = (w.ty, w.words, scales_at);
        rows_times(matrix, x, &mut y[..n], p.accumulate != 0, None);
        return;
    }
    let y = Tile::of(y, stride, [rows, n]);
    if rows <= pack::FEW_MAX {
        few(&w, x, y, k, p.accumulate != 0);
    } else {
        many(&w, x, y, k, p.accumulate != 0);
    }
}

/// y (+)= x Wᵀ for few rows: some of W's rows a task.
fn few(w: &Planes<'_>, x: &[f32], y: Tile<'_>, k: usize, accumulate: bool) {
    let x = pack::Few::of(x, k, w.ty);
    let [rows, _] = y.dims();
    for_each_tile(y, [rows, FEW_WEIGHTS.div_ceil(k)], |[_, first], mut y| {
        pack::dot_few(w, first, &x, &mut y.all_rows(), accumulate);
    });
}

/// yᵀ (+)= W xᵀ for many rows, a panel of W's rows a task: x is brought to columns of one or two vectors once, and the
/// weights, which are many, are read as they lie.
fn many(w: &Planes<'_>, x: &[f32], y: Tile<'_>, k: usize, accumulate: bool) {
    let [rows, _] = y.dims();
    // Whole columns are two vectors wide; the last one is of one vector where that is enough.
    let lanes = micro::lanes();
    let wide = 2 * lanes;
    with_scratch(&COLUMNS, k * rows.next_multiple_of(lanes), |columns| {
        for_each_chunk_mut(columns, k * wide, |i, columns| {
            let (x, width) = (&x[i * wide * k..], columns.len() / k);
            let n = width.min(x.len() / k);
            transpose(x, k, Tile::of(columns, width, [k, n]), false);
            // What is behind the last row is computed and dropped, so it must be numbers.
            columns.chunks_mut(width).for_each(|column| column[n..].fill(0.0));
        });
        let columns = &*columns;
        for_each_tile(y, [rows, panel_rows(k)], |[_, first], mut y| {
            let n = y.dims()[1];
            with_scratch(&PANEL, n * (k + wide), |scratch| {
                let (panel, out) = scratch.split_at_mut(n * k);
                dequantize_blocks(w, first * k / 32, panel);
                let panel = micro::Rows { data: panel, stride: k };
                for (row, columns) in (0..).step_by(wide).zip(columns.chunks(k * wide)) {
                    let width = columns.len() / k;
                    let columns = micro::Rows { data: columns, stride: width };
                    let product = &mut Tile::of(out, width, [n, width]);
                    micro::product(k, panel, columns, product, false);
                    transpose(out, width, y.rows(row, width), accumulate);
                }
            });
        });
    });
}
