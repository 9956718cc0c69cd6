//! Panels of a packed weight's rows, dequantized one after another for the CPU twins of the matrix products.
//!
//! The scratch memory is kept by the thread that runs the device. Invariant: a panel is read after all its rows were
//! written, and panels come in the order of rows.

use super::parallel::for_each_chunk_mut;
use crate::quant::{TensorType, pack};
use std::cell::RefCell;

/// Elements of a panel: 2 MiB of f32, about a core's second-level cache.
const PANEL: usize = 1 << 19;

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f(first row, rows as f32)` for each panel of the packed matrix `[rows, cols]`.
pub fn for_each_panel(
    (ty, words, scales_at): (TensorType, &[u32], usize),
    [rows, cols]: [usize; 2],
    mut f: impl FnMut(usize, &[f32]),
) {
    SCRATCH.with_borrow_mut(|scratch| {
        let step = (PANEL / cols).max(1).min(rows);
        scratch.resize(scratch.len().max(step * cols), 0.0);
        for first in (0..rows).step_by(step) {
            let panel = &mut scratch[..step.min(rows - first) * cols];
            let rows_a_task = (1usize << 16).div_ceil(cols);
            for_each_chunk_mut(panel, rows_a_task * cols, |i, chunk| {
                for (row, out) in (first + i * rows_a_task..).zip(chunk.chunks_mut(cols)) {
                    pack::dequantize_row(ty, words, scales_at, cols, row, out);
                }
            });
            f(first, panel);
        }
    });
}
