//! dx = dy W: the gradient through a frozen weight, read from the same packed blocks as the forward product.
//!
//! forward: y = x Wᵀ. The weight itself gets no gradient, and no transposed copy of it exists.

use super::launch::{Checks, params, tile_links, weight_type};
use super::matrices::dispatch_matrices;
use super::micro;
use super::panel::with_scratch;
use super::parallel::{Tile, for_each_tile};
use super::registers;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape};
use crate::quant::TensorType;
use crate::quant::pack::{Planes, dequantize_columns};
use crate::tensor::{Tensor, TileType, Weight};
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
    links: &["weight", "tile"],
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
            links: &tile_links(w),
            groups: [w.cols.div_ceil(64) as u32, dy.rows.div_ceil(64) as u32, 1],
            flops: 2 * (dy.rows * part.rows * w.cols) as u64,
            ..Shape::default()
        };
        let views = [part.buffer.view(), dy.view.clone(), dx.view.clone()];
        match w.tile {
            TileType::Registers { .. } => {
                let of = (w, [dy.rows, w.cols]);
                registers::backward(rec, &MATMUL_DX_REGISTERS, &params, &views, of, shape.flops)?;
            }
            TileType::Matrices(m) => {
                let of = (w.ty, [dy.rows, w.cols]);
                dispatch_matrices(rec, (&MATMUL_DX_MATRICES, m), &params, &views, of, shape.flops)?;
            }
            _ => rec.dispatch(&MATMUL_DX, &params, &views, &shape)?,
        }
    }
    Ok(())
}

/// The kernel of [`matmul_dx`] where weights are held in registers.
pub static MATMUL_DX_REGISTERS: KernelDef = KernelDef {
    name: "matmul_dx_registers",
    wgsl: include_str!("../../shaders/matmul_dx_registers.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &["weight", "four"],
    cpu,
};

/// The kernel of [`matmul_dx`] where the device has cooperative matrices.
pub static MATMUL_DX_MATRICES: KernelDef = KernelDef {
    name: "matmul_dx_matrices",
    wgsl: include_str!("../../shaders/matmul_dx_matrices.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &["weight", "matrices"],
    cpu,
};

/// Rows of W that are f32 at once: with them a task's columns stay in a core's second-level cache.
const PANEL_ROWS: usize = 384;

/// Most rows of dx that a task writes: more rows make W f32 again.
const ROWS: usize = 512;

/// Rows of dy that are multiplied with a whole panel before the next: they stay in the first-level cache.
const GROUP: usize = 24;

thread_local! {
    static PANEL: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Columns of dx that a task writes: whole blocks of the type.
fn tile_cols(ty: TensorType) -> usize {
    ty.block_len().max(96)
}

/// Each task makes f32 what its columns need of W, a panel of W's rows at a time.
fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rows, k, stride) = (p.rows as usize, p.k as usize, p.dy_cols as usize);
    let dy = &call.input::<f32>(1)[p.dy_col as usize..];
    let dx = Tile::of(&mut call.output::<f32>(2)[..rows * k], k, [rows, k]);
    let scales_at = p.scales_at as usize;
    let w = Planes { ty: weight_type(p.ty), words: call.input(0), scales_at };
    for_each_tile(dx, [ROWS, tile_cols(w.ty)], |[row, col], mut dx| {
        let width = dx.dims()[1];
        with_scratch(&PANEL, PANEL_ROWS * width, |panel| {
            for first in (0..p.n as usize).step_by(PANEL_ROWS) {
                let n = PANEL_ROWS.min(p.n as usize - first);
                let panel = &mut panel[..n * width];
                let blocks = [(first * k + col) / 32, width / 32, k / 32];
                dequantize_columns(&w, blocks, panel);
                let panel = micro::Rows { data: panel, stride: width };
                let add = p.accumulate != 0 || first > 0;
                for i in (0..dx.dims()[0]).step_by(GROUP) {
                    let dy = micro::Rows { data: &dy[(row + i) * stride + first..], stride };
                    micro::product(n, dy, panel, &mut dx.rows(i, GROUP), add);
                }
            }
        });
    });
}
