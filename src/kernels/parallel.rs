//! Threads for the CPU twins: rayon natively, one thread in wasm; and the parts of matrices that tasks write.
//!
//! The only file of this layer that knows of threads. Invariant: how work is split depends on sizes alone, and each
//! element is computed by one task in one order, so reruns are bit-identical whatever the threads do. A thread takes one task
//! at a time (`with_max_len`): rayon would give it several, for the last of which the others wait.

use std::marker::PhantomData;

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
        let chunks = data.par_chunks_mut(chunk).enumerate();
        chunks.with_max_len(1).for_each(|(i, chunk)| f(i, chunk));
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
        pairs.with_max_len(1).for_each(|(i, (a, b))| f(i, a, b));
    }
    #[cfg(target_arch = "wasm32")]
    for (i, (a, b)) in a.chunks_mut(a_chunk).zip(b.chunks_mut(b_chunk)).enumerate() {
        f(i, a, b);
    }
}

/// A rectangle of a row-major matrix that one task writes.
pub struct Tile<'a> {
    start: *mut f32,
    stride: usize,
    rows: usize,
    cols: usize,
    matrix: PhantomData<&'a mut [f32]>,
}

// SAFETY: a tile is the only handle to its elements, like the slice that it was made of.
unsafe impl Send for Tile<'_> {}

impl<'a> Tile<'a> {
    /// The first `cols` elements of `rows` rows that are `stride` elements apart.
    pub fn of(data: &'a mut [f32], stride: usize, [rows, cols]: [usize; 2]) -> Tile<'a> {
        let fits = rows == 0 || cols <= stride && (rows - 1) * stride + cols <= data.len();
        assert!(fits, "[{rows}, {cols}], {stride} apart, in {}", data.len());
        Tile { start: data.as_mut_ptr(), stride, rows, cols, matrix: PhantomData }
    }

    /// `[rows, cols]`.
    pub fn dims(&self) -> [usize; 2] {
        [self.rows, self.cols]
    }

    /// Row `i`.
    pub fn row(&mut self, i: usize) -> &mut [f32] {
        assert!(i < self.rows, "row {i} of {}", self.rows);
        // SAFETY: `of` checked that the row is inside the matrix, which this tile borrows mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(i * self.stride), self.cols) }
    }

    /// All rows.
    pub fn all_rows(&mut self) -> Vec<&mut [f32]> {
        let row = |i| {
            // SAFETY: as in `row`; rows share no elements, and this borrow of the tile lasts as long as they do.
            unsafe { std::slice::from_raw_parts_mut(self.start.add(i * self.stride), self.cols) }
        };
        (0..self.rows).map(row).collect()
    }

    /// At most `n` rows from row `first` on.
    pub fn rows(&mut self, first: usize, n: usize) -> Tile<'_> {
        // SAFETY: this borrow of the tile lasts as long as the part does.
        unsafe { self.part([first, 0], [n, self.cols]) }
    }

    /// The rectangle `[first row, first column]` of `[rows, cols]`, cut to what there is.
    ///
    /// # Safety
    /// No two tiles that live at once may share elements.
    unsafe fn part(&self, [row, col]: [usize; 2], [rows, cols]: [usize; 2]) -> Tile<'a> {
        assert!(row < self.rows && col < self.cols, "[{row}, {col}] in {:?}", self.dims());
        // SAFETY: the first element is inside the matrix, as the assertion says.
        let start = unsafe { self.start.add(row * self.stride + col) };
        let (rows, cols) = (rows.min(self.rows - row), cols.min(self.cols - col));
        Tile { start, rows, cols, ..*self }
    }
}

/// The whole of a matrix whose tiles are handed out to threads.
struct Tiled<'a>(Tile<'a>);

// SAFETY: threads take disjoint parts of it (see `for_each_tile`) and nothing else.
unsafe impl Sync for Tiled<'_> {}

/// Calls `f([first row, first column], tile)` for each rectangle of at most `[rows, cols]` of `matrix`, in parallel
/// where there are several.
pub fn for_each_tile(
    matrix: Tile<'_>,
    [rows, cols]: [usize; 2],
    f: impl Fn([usize; 2], Tile<'_>) + Sync + Send,
) {
    let (down, across) = (matrix.rows.div_ceil(rows), matrix.cols.div_ceil(cols));
    let matrix = &Tiled(matrix);
    let task = |i: usize| {
        let first = [i % down * rows, i / down * cols];
        // SAFETY: `i` is used once, and rectangles of a grid share no elements.
        f(first, unsafe { matrix.0.part(first, [rows, cols]) });
    };
    for_each_index(down * across, task);
}

/// [`for_each_tile`] over two matrices at once: rectangles of `a_tile` and of `b_tile`, of which there are as many in each
/// direction.
pub fn for_each_tile_pair(
    (a, a_tile): (Tile<'_>, [usize; 2]),
    (b, b_tile): (Tile<'_>, [usize; 2]),
    f: impl Fn([usize; 2], Tile<'_>, Tile<'_>) + Sync + Send,
) {
    let (down, across) = (a.rows.div_ceil(a_tile[0]), a.cols.div_ceil(a_tile[1]));
    let b_grid = [b.rows.div_ceil(b_tile[0]), b.cols.div_ceil(b_tile[1])];
    assert_eq!([down, across], b_grid, "rectangles in pairs");
    let (a, b) = (&Tiled(a), &Tiled(b));
    let task = |i: usize| {
        let at = [i % down, i / down];
        let first = |tile: [usize; 2]| [at[0] * tile[0], at[1] * tile[1]];
        // SAFETY: `i` is used once, and rectangles of a grid share no elements.
        let (a, b) = unsafe { (a.0.part(first(a_tile), a_tile), b.0.part(first(b_tile), b_tile)) };
        f(at, a, b);
    };
    for_each_index(down * across, task);
}

/// Calls `f` for 0..n, in parallel where there are several.
pub fn for_each_index(n: usize, f: impl Fn(usize) + Sync + Send) {
    #[cfg(not(target_arch = "wasm32"))]
    if n > 1 {
        use rayon::prelude::*;
        (0..n).into_par_iter().with_max_len(1).for_each(f);
        return;
    }
    (0..n).for_each(f);
}
