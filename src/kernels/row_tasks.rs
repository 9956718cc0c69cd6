//! Products of one row with several matrices, for the CPU twins: one set of tasks, so that threads wait for each other
//! once.
//!
//! It knows neither norms nor where the results go. Invariant: how rows are split depends on sizes alone.

use super::factors::times_a;
use super::parallel::for_each_chunk_mut;
use crate::quant::{TensorType, pack};

/// The rows of one matrix.
#[derive(Clone, Copy)]
pub(super) enum Rows<'a> {
    /// A packed matrix: its words, and where its scales start.
    Packed(&'a [u32], usize),
    /// A row-major matrix of half floats.
    Halves(&'a [u16]),
}

/// `y = [M x | ..]` for matrices M and their numbers of rows; those that are packed have type `ty`.
pub(super) fn rows_times(ty: TensorType, x: &[f32], of: &[(Rows<'_>, usize)], y: &mut [f32]) {
    // A task of about 64 thousand multiplications, as in `matvec`.
    let step = (1usize << 16).div_ceil(x.len());
    let mut tasks = Vec::new();
    let mut rest = y;
    for (matrix, rows) in of {
        let (part, after) = rest.split_at_mut(*rows);
        tasks.extend(part.chunks_mut(step).enumerate().map(|(i, y)| (*matrix, i * step, y)));
        rest = after;
    }
    let blocks = pack::Blocks::of(x, ty);
    for_each_chunk_mut(&mut tasks, 1, |_, tasks| {
        for (matrix, first, y) in tasks {
            match matrix {
                Rows::Packed(words, scales) => {
                    pack::dot_rows(ty, (words, *scales), *first, &blocks, y);
                }
                Rows::Halves(halves) => times_a(&halves[*first * x.len()..], x.len(), x, y),
            }
        }
    });
}
