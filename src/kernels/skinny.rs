//! Products with a matrix of few rows, for the CPU twins of the LoRA kernels, on the register tiles of [`micro`].
//!
//! Three loops carry all of them: rows times the few (dots), the few added up (add_rows), and outer products of rows (gather).
//! The few is brought to whole vectors first, scaled on the way: it is small, and all tasks read it. r is its short side.
//! Invariant: how the sums are taken depends on the sizes alone.

use super::micro::{self, Rows};
use super::panel::{Scratch, transpose, with_scratch};
use super::parallel::{Tile, for_each_tile};
use std::cell::RefCell;

/// Rows of a task: some microseconds at usual widths, and whole register tiles.
const ROWS: usize = 24;
/// Columns of a task of [`gather`], whole register tiles as well.
const COLS: usize = 96;

thread_local! {
    static FEW: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    static OUT: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// A skinny matrix as its kernel has it: its numbers and its rows and columns.
#[derive(Clone, Copy)]
pub struct Few<'a> {
    pub data: &'a [f32],
    pub dims: [usize; 2],
}

impl Few<'_> {
    /// Calls `f` with it, or with its transpose, times `by`, in whole vectors with zeros behind them.
    fn in_vectors<T>(self, across: bool, by: f32, f: impl FnOnce(Rows<'_>) -> T) -> T {
        let [rows, cols] = self.dims;
        let [to_rows, to_cols] = if across { [cols, rows] } else { [rows, cols] };
        let stride = to_cols.next_multiple_of(micro::lanes());
        let scratch: &'static Scratch = &FEW;
        with_scratch(scratch, to_rows * stride, |to| {
            if across {
                transpose(self.data, cols, Tile::of(to, stride, [to_rows, to_cols]), false);
            }
            for (i, to) in to.chunks_mut(stride).enumerate() {
                let (to, behind) = to.split_at_mut(to_cols);
                if !across {
                    to.copy_from_slice(&self.data[i * cols..][..cols]);
                }
                to.iter_mut().for_each(|to| *to *= by);
                behind.fill(0.0);
            }
            f(Rows { data: to, stride })
        })
    }
}

/// `out[t, j] = by Σ_c x[t, c] few[c, j]`, or with `across` of few's transpose: x is `[rows, c]`, out `[rows, r]`.
pub fn dots(x: &[f32], few: Few<'_>, across: bool, by: f32, out: &mut [f32]) {
    let [c, r] = if across { [few.dims[1], few.dims[0]] } else { few.dims };
    let out = Tile::of(out, r, [out.len() / r, r]);
    few.in_vectors(across, by, |few| {
        for_each_tile(out, [ROWS, r], |[row, _], mut out| {
            let x = Rows { data: &x[row * c..], stride: c };
            if few.stride == r {
                return micro::product(c, x, few, &mut out, false);
            }
            let [rows, _] = out.dims();
            with_scratch(&OUT, rows * few.stride, |sums| {
                let mut sums = Tile::of(sums, few.stride, [rows, few.stride]);
                micro::product(c, x, few, &mut sums, false);
                (0..rows).for_each(|i| out.row(i).copy_from_slice(&sums.row(i)[..r]));
            });
        });
    });
}

/// `y[t, c] += by Σ_j u[t, j] few[j, c]`, or with `across` of few's transpose: u is `[rows, r]`, y `[rows, c]`.
pub fn add_rows(u: &[f32], few: Few<'_>, across: bool, by: f32, y: &mut [f32]) {
    let [r, c] = if across { [few.dims[1], few.dims[0]] } else { few.dims };
    let y = Tile::of(y, c, [y.len() / c, c]);
    few.in_vectors(across, by, |few| {
        for_each_tile(y, [ROWS, c], |[row, _], mut y| {
            let u = Rows { data: &u[row * r..], stride: r };
            if few.stride == c {
                return micro::product(r, u, few, &mut y, true);
            }
            let [rows, _] = y.dims();
            with_scratch(&OUT, rows * few.stride, |sums| {
                let mut sums = Tile::of(sums, few.stride, [rows, few.stride]);
                micro::product(r, u, few, &mut sums, false);
                for i in 0..rows {
                    y.row(i).iter_mut().zip(sums.row(i)).for_each(|(y, sum)| *y += *sum);
                }
            });
        });
    });
}

/// `grad[j, c] += by Σ_t u[t, j] x[t, c]`, or with `across` its transpose `grad[c, j]`: u is `[rows, r]`, x `[rows, c]`.
pub fn gather(u: Few<'_>, x: &[f32], by: f32, grad: &mut [f32], across: bool) {
    let [rows, r] = u.dims;
    let c = x.len() / rows;
    let (dims, tile) = if across { ([c, r], [COLS, r]) } else { ([r, c], [r, COLS]) };
    let grad = Tile::of(grad, dims[1], dims);
    u.in_vectors(false, by, |u| {
        for_each_tile(grad, tile, |[row, col], mut grad| {
            let x = Rows { data: &x[row + col..], stride: c };
            let n = if across { grad.dims()[0] } else { grad.dims()[1] };
            with_scratch(&OUT, n * u.stride, |sums| {
                micro::product(rows, x.t(), u, &mut Tile::of(sums, u.stride, [n, u.stride]), false);
                if !across {
                    return transpose(sums, u.stride, grad, true);
                }
                for (i, sums) in sums.chunks(u.stride).enumerate() {
                    grad.row(i).iter_mut().zip(sums).for_each(|(grad, sum)| *grad += sum);
                }
            });
        });
    });
}
