//! Products with a matrix of few rows, for the CPU twins of the LoRA kernels: a rank of 8 leaves a general matrix
//! product's register tiles empty.
//!
//! Three loops carry all of them: dots of rows, rows added up, and the outer products of rows. A few is `[r, c]` with r
//! small. Invariant: how the sums are taken depends on c, r and the number of rows alone.

use super::lanes::{self, LANES};
use super::panel::{Scratch, transpose, with_scratch};
use super::parallel::{Tile, for_each_chunk_mut, for_each_tile};
use multiversion::multiversion;
use std::cell::RefCell;

/// Rows of a task: some microseconds at usual widths.
const ROWS: usize = 16;
/// Columns of a task of [`gather`].
const COLS: usize = 64;

thread_local! {
    static TRANSPOSED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    static GATHERED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Memory for a transposed few: the thread that starts the tasks keeps it.
pub fn transposed<T>(few: &[f32], [c, r]: [usize; 2], f: impl FnOnce(&[f32]) -> T) -> T {
    let scratch: &'static Scratch = &TRANSPOSED;
    with_scratch(scratch, r * c, |memory| {
        transpose(few, r, Tile::of(memory, c, [r, c]), false);
        f(memory)
    })
}

/// `out[t, j] = by Σ_c x[t, c] few[j, c]`.
pub fn dots(x: &[f32], few: &[f32], [c, r]: [usize; 2], by: f32, out: &mut [f32]) {
    for_each_chunk_mut(out, ROWS * r, |i, out| dot_rows(&x[i * ROWS * c..], few, [c, r], by, out));
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn dot_rows(x: &[f32], few: &[f32], [c, r]: [usize; 2], by: f32, out: &mut [f32]) {
    for (x, out) in x.chunks_exact(c).zip(out.chunks_exact_mut(r)) {
        for (out, row) in out.iter_mut().zip(few.chunks_exact(c)) {
            *out = by * lanes::dot(x, row);
        }
    }
}

/// `y[t, c] += by Σ_j u[t, j] few[j, c]`.
pub fn add_rows(u: &[f32], few: &[f32], [c, r]: [usize; 2], by: f32, y: &mut [f32]) {
    for_each_chunk_mut(y, ROWS * c, |i, y| add_to_rows(&u[i * ROWS * r..], few, [c, r], by, y));
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn add_to_rows(u: &[f32], few: &[f32], [c, r]: [usize; 2], by: f32, y: &mut [f32]) {
    for (u, y) in u.chunks_exact(r).zip(y.chunks_exact_mut(c)) {
        let (chunks, rest) = y.as_chunks_mut::<LANES>();
        let after = LANES * chunks.len();
        for (i, y) in chunks.iter_mut().enumerate() {
            let mut sums = [0f32; LANES];
            for (u, row) in u.iter().zip(few.chunks_exact(c)) {
                let row: &[f32; LANES] = row[LANES * i..].first_chunk().expect("a whole chunk");
                for l in 0..LANES {
                    sums[l] += u * row[l];
                }
            }
            for l in 0..LANES {
                y[l] += by * sums[l];
            }
        }
        for (i, y) in (after..).zip(rest) {
            *y += by * u.iter().zip(few.chunks_exact(c)).map(|(u, row)| u * row[i]).sum::<f32>();
        }
    }
}

/// `grad[j, c] += by Σ_t u[t, j] x[t, c]`, or with `across` its transpose `grad[c, j]`.
pub fn gather(
    u: &[f32],
    x: &[f32],
    [rows, c, r]: [usize; 3],
    by: f32,
    grad: &mut [f32],
    across: bool,
) {
    let (u, x) = (&u[..rows * r], &x[..rows * c]);
    let (dims, tile) = if across { ([c, r], [COLS, r]) } else { ([r, c], [r, COLS]) };
    for_each_tile(Tile::of(grad, dims[1], dims), tile, |[row, col], mut grad| {
        let first = row + col;
        let [height, width] = grad.dims();
        let n = if across { height } else { width };
        with_scratch(&GATHERED, r * n, |sums| {
            outer_products(u, &x[first..], [c, r, n], by, sums);
            if across {
                transpose(sums, n, grad, true);
                return;
            }
            for (j, sums) in sums.chunks(n).enumerate() {
                grad.row(j).iter_mut().zip(sums).for_each(|(grad, sum)| *grad += sum);
            }
        });
    });
}

/// `sums[j, i] = by Σ_t u[t, j] x[t, i]` for i < n; the rows of x are `c` elements apart.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn outer_products(u: &[f32], x: &[f32], [c, r, n]: [usize; 3], by: f32, sums: &mut [f32]) {
    for first in (0..n).step_by(LANES) {
        for j in (0..r).step_by(4) {
            let group = r.min(j + 4) - j;
            if first + LANES <= n && group == 4 {
                let products = outer_group(&u[j..], r, &x[first..], c);
                for (k, products) in products.iter().enumerate() {
                    for l in 0..LANES {
                        sums[(j + k) * n + first + l] = by * products[l];
                    }
                }
                continue;
            }
            for k in j..j + group {
                for i in first..n.min(first + LANES) {
                    let pairs = u[k..].iter().step_by(r).zip(x[i..].iter().step_by(c));
                    sums[k * n + i] = by * pairs.map(|(u, x)| u * x).sum::<f32>();
                }
            }
        }
    }
}

/// `Σ_t u[t, 0..4] x[t, 0..16]`.
#[inline(always)]
fn outer_group(u: &[f32], r: usize, x: &[f32], c: usize) -> [[f32; LANES]; 4] {
    let mut sums = [[0f32; LANES]; 4];
    for (u, x) in u.chunks(r).zip(x.chunks(c)) {
        let (Some(u), Some(x)) = (u.first_chunk::<4>(), x.first_chunk::<LANES>()) else { break };
        for k in 0..4 {
            for l in 0..LANES {
                sums[k][l] += u[k] * x[l];
            }
        }
    }
    sums
}
