//! Threads for the CPU twins: rayon natively, one thread in wasm; and matrix products through the `gemm` crate.
//!
//! The only file of this layer that knows the platform. Invariant: how work is split depends on sizes alone, and each
//! element is computed by one task in one order, so reruns are bit-identical whatever the threads do.

use gemm::Parallelism;

/// Calls `f(i, chunk)` for each chunk of `data`, in parallel where there are several.
pub fn for_each_chunk_mut<T: Send>(
    data: &mut [T],
    chunk: usize,
    f: impl Fn(usize, &mut [T]) + Sync + Send,
) {
    if data.len() <= chunk {
        if !data.is_empty() {
            f(0, data);
        }
        return;
    }
    #[cfg(not(target_arch = "wasm32"))]
    {
        use rayon::prelude::*;
        data.par_chunks_mut(chunk).enumerate().for_each(|(i, chunk)| f(i, chunk));
    }
    #[cfg(target_arch = "wasm32")]
    data.chunks_mut(chunk).enumerate().for_each(|(i, chunk)| f(i, chunk));
}

/// Calls `f(i, a_chunk, b_chunk)` for each pair of chunks, in parallel where there are several.
pub fn for_each_chunk_pair_mut<A: Send, B: Send>(
    (a, a_chunk): (&mut [A], usize),
    (b, b_chunk): (&mut [B], usize),
    f: impl Fn(usize, &mut [A], &mut [B]) + Sync + Send,
) {
    debug_assert_eq!(a.len().div_ceil(a_chunk), b.len().div_ceil(b_chunk), "chunks in pairs");
    if a.len() <= a_chunk {
        if !a.is_empty() {
            f(0, a, b);
        }
        return;
    }
    #[cfg(not(target_arch = "wasm32"))]
    {
        use rayon::prelude::*;
        let pairs = a.par_chunks_mut(a_chunk).zip(b.par_chunks_mut(b_chunk)).enumerate();
        pairs.for_each(|(i, (a, b))| f(i, a, b));
    }
    #[cfg(target_arch = "wasm32")]
    for (i, (a, b)) in a.chunks_mut(a_chunk).zip(b.chunks_mut(b_chunk)).enumerate() {
        f(i, a, b);
    }
}

/// A matrix to read: element (i, j) is `data[i * row + j * col]`.
#[derive(Clone, Copy)]
pub struct Operand<'a> {
    data: &'a [f32],
    row: usize,
    col: usize,
}

impl<'a> Operand<'a> {
    /// Row-major with `stride` elements a row.
    pub fn rows(data: &'a [f32], stride: usize) -> Operand<'a> {
        Operand { data, row: stride, col: 1 }
    }

    /// Its transpose.
    pub fn t(self) -> Operand<'a> {
        Operand { row: self.col, col: self.row, ..self }
    }
}

/// `c (+)= by * a b` with `a [m, k]`, `b [k, n]` and `c [m, n]` row-major, `c_stride` elements a row; on all threads
/// where that pays.
pub fn matrix_product(
    dims: [usize; 3],
    a: Operand<'_>,
    b: Operand<'_>,
    c: (&mut [f32], usize),
    accumulate: bool,
    by: f32,
) {
    product(dims, a, b, c, accumulate, by, threads(dims.iter().product()));
}

/// The same on this thread alone: for the inside of a task.
pub fn matrix_product_here(
    dims: [usize; 3],
    a: Operand<'_>,
    b: Operand<'_>,
    c: (&mut [f32], usize),
    accumulate: bool,
    by: f32,
) {
    product(dims, a, b, c, accumulate, by, Parallelism::None);
}

fn product(
    [m, n, k]: [usize; 3],
    a: Operand<'_>,
    b: Operand<'_>,
    (c, c_stride): (&mut [f32], usize),
    accumulate: bool,
    by: f32,
    threads: Parallelism,
) {
    if m == 0 || n == 0 {
        return;
    }
    let last = |rows: usize, cols: usize, row: usize, col: usize| {
        rows.saturating_sub(1) * row + cols.saturating_sub(1) * col
    };
    assert!(n <= c_stride && last(m, n, c_stride, 1) < c.len(), "c [{m}, {n}] in {}", c.len());
    if k == 0 {
        if !accumulate {
            c.chunks_mut(c_stride).take(m).for_each(|row| row[..n].fill(0.0));
        }
        return;
    }
    assert!(last(m, k, a.row, a.col) < a.data.len(), "a [{m}, {k}] in {}", a.data.len());
    assert!(last(k, n, b.row, b.col) < b.data.len(), "b [{k}, {n}] in {}", b.data.len());
    // SAFETY: the assertions above bound every element that the strides and sizes reach, `c` is borrowed mutably and
    // so aliases neither operand, and its elements are distinct because a row's `n` fit its stride.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            c_stride as isize,
            accumulate,
            a.data.as_ptr(),
            a.col as isize,
            a.row as isize,
            b.data.as_ptr(),
            b.col as isize,
            b.row as isize,
            1.0,
            by,
            false,
            false,
            false,
            threads,
        );
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn threads(work: usize) -> Parallelism {
    // Waking threads costs about as much as a hundred thousand multiplications.
    if work < 100_000 { Parallelism::None } else { Parallelism::Rayon(0) }
}

#[cfg(target_arch = "wasm32")]
fn threads(_work: usize) -> Parallelism {
    Parallelism::None
}
