//! A product whose tile is in registers: the grids that the forward product and its gradient take.
//!
//! Not a kernel itself; the two kernels have the params, bindings and CPU twins of `matmul` and `matmul_dx`. On a GPU it is
//! for few rows, where sixteen lanes share a tile's columns so that there are lanes enough. A program that plays a GPU takes it
//! for all rows with a lane a tile: there each read is done lane by lane, and a barrier stops whole threads.

use super::launch::weight_link;
use crate::device::{DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::{TileType, Weight};
use bytemuck::Pod;

/// Most rows that are few: two tiles here, a quarter of a tile in workgroup memory.
pub const FEW_ROWS: usize = 16;

/// Rows and columns of a lane's sums.
const SIDE: usize = 8;

/// Lanes that a program runs at once, or two times as many.
const PROGRAM_WG: u32 = 8;

/// Does a product of so many rows with this matrix take the kernel of registers?
pub(super) fn takes(w: &Weight, rows: usize) -> bool {
    rows <= FEW_ROWS || matches!(w.tile, TileType::Registers { .. })
}

/// Dispatches the forward product: `[rows, cols]` numbers.
pub(super) fn forward<P: Pod>(
    rec: &mut Recording,
    kernel: &'static KernelDef,
    params: &P,
    views: &[View],
    (w, [rows, cols]): (&Weight, [usize; 2]),
    flops: u64,
) -> Result<(), DeviceError> {
    let [weight] = weight_link(w.ty);
    let (lanes, file, wg) = match w.tile {
        TileType::Registers { .. } => (1, "lanes_1", PROGRAM_WG),
        _ => (16, "lanes_16", 64),
    };
    let tiles = cols.div_ceil(SIDE).div_ceil(wg as usize / lanes);
    let shape = Shape {
        links: &[weight, ("lanes", file), four(w)],
        overrides: &[("WG", wg)],
        groups: [tiles as u32, rows.div_ceil(SIDE) as u32, 1],
        flops,
    };
    rec.dispatch(kernel, params, views, &shape)
}

/// Dispatches the gradient's product: `[rows, cols]` numbers, a lane a tile.
pub(super) fn backward<P: Pod>(
    rec: &mut Recording,
    kernel: &'static KernelDef,
    params: &P,
    views: &[View],
    (w, [rows, cols]): (&Weight, [usize; 2]),
    flops: u64,
) -> Result<(), DeviceError> {
    let [weight] = weight_link(w.ty);
    let shape = Shape {
        links: &[weight, four(w)],
        overrides: &[("WG", PROGRAM_WG)],
        groups: [cols.div_ceil(SIDE * PROGRAM_WG as usize) as u32, rows.div_ceil(SIDE) as u32, 1],
        flops,
    };
    rec.dispatch(kernel, params, views, &shape)
}

/// Links how a lane comes by the other operand's numbers.
fn four(w: &Weight) -> (&'static str, &'static str) {
    let quads = matches!(w.tile, TileType::Registers { quads: true });
    ("four", if quads { "four_quads" } else { "four_own" })
}
