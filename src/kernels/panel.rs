//! What the CPU twins of the products share: memory that a thread keeps, and transposing.
//!
//! Each thread keeps its scratch memory. Invariant: scratch is written before it is read, and nothing that a scratch is
//! lent to starts tasks of its own, so that no thread borrows it twice.

use super::parallel::Tile;
use multiversion::multiversion;
use std::cell::RefCell;
use std::thread::LocalKey;

/// Memory that a thread keeps between tasks.
pub type Scratch = LocalKey<RefCell<Vec<f32>>>;

/// Calls `f` with the first `n` elements of a thread's scratch, which hold anything.
pub fn with_scratch<T>(scratch: &'static Scratch, n: usize, f: impl FnOnce(&mut [f32]) -> T) -> T {
    scratch.with_borrow_mut(|memory| {
        if memory.len() < n {
            memory.resize(n, 0.0);
        }
        f(&mut memory[..n])
    })
}

/// Side of the squares that a transposition goes by: 8 rows of 8, a cache line of two rows each.
const SIDE: usize = 8;

/// `to[r, c] (+)= from[c, r]`; the rows of `from` are `stride` elements apart.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub fn transpose(from: &[f32], stride: usize, mut to: Tile, accumulate: bool) {
    let [rows, cols] = to.dims();
    for row in (0..rows).step_by(SIDE) {
        for col in (0..cols).step_by(SIDE) {
            if row + SIDE <= rows && col + SIDE <= cols {
                let square: [[f32; SIDE]; SIDE] = std::array::from_fn(|c| {
                    let at = (col + c) * stride + row;
                    from[at..at + SIDE].try_into().expect("a square's side")
                });
                for r in 0..SIDE {
                    let to = &mut to.row(row + r)[col..col + SIDE];
                    for (to, column) in to.iter_mut().zip(&square) {
                        *to = if accumulate { *to + column[r] } else { column[r] };
                    }
                }
                continue;
            }
            for r in row..rows.min(row + SIDE) {
                let to = to.row(r);
                for c in col..cols.min(col + SIDE) {
                    let value = from[c * stride + r];
                    to[c] = if accumulate { to[c] + value } else { value };
                }
            }
        }
    }
}
