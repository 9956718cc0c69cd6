//! The register-tiled product that carries the CPU device: C (+)= A B, all row-major, B's columns in vectors.
//!
//! Six rows of A and two vectors of B's columns (or twelve and one) make twelve sums that stay in registers while the
//! loop runs down k: per step two vectors are loaded and six numbers spread, so the multiply-adds are what limits it
//! (Goto & van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication", of which this is the innermost loop;
//! its callers do the packing). `pulp` gives vectors of the width that the processor has. It knows neither weights nor
//! threads. Invariant: an element's sum runs over k in order, whatever the tile that it lies in.

use super::parallel::Tile;
use pulp::{Arch, Simd, WithSimd};

/// f32 lanes of this machine's vectors: 16, 8 or 4.
pub fn lanes() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    Arch::new().dispatch(Lanes)
}

/// A matrix to read, row-major, `stride` elements a row.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    pub data: &'a [f32],
    pub stride: usize,
}

/// A matrix to read whose numbers are taken one by one: row-major as [`Rows`], or the transpose of such a one.
#[derive(Clone, Copy)]
pub struct Spread<'a> {
    data: &'a [f32],
    row: usize,
    col: usize,
}

impl<'a> Rows<'a> {
    /// The transpose.
    pub fn t(self) -> Spread<'a> {
        Spread { data: self.data, row: 1, col: self.stride }
    }
}

impl Spread<'_> {
    /// Without its first `n` columns.
    pub fn behind(self, n: usize) -> Self {
        Spread { data: &self.data[n * self.col..], ..self }
    }
}

impl<'a> From<Rows<'a>> for Spread<'a> {
    fn from(rows: Rows<'a>) -> Spread<'a> {
        Spread { data: rows.data, row: rows.stride, col: 1 }
    }
}

/// c (+)= a b with a `[m, k]`, b `[k, n]` and c `[m, n]`. Panics where n is no multiple of [`lanes`], or an operand is
/// smaller than that.
pub fn product<'a>(
    k: usize,
    a: impl Into<Spread<'a>>,
    b: Rows<'_>,
    c: &mut Tile<'_>,
    accumulate: bool,
) {
    Arch::new().dispatch(Product { k, a: a.into(), b, c, accumulate });
}

struct Product<'a, 'c, 't> {
    k: usize,
    a: Spread<'a>,
    b: Rows<'a>,
    c: &'c mut Tile<'t>,
    accumulate: bool,
}

impl WithSimd for Product<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let n = self.c.dims()[1];
        let lanes = S::F32_LANES;
        assert!(n.is_multiple_of(lanes), "{n} columns in vectors of {lanes}");
        assert!(self.b.stride.is_multiple_of(lanes), "rows of {} in vectors", self.b.stride);
        let mut col = 0;
        while col + 2 * lanes <= n {
            self.strip::<S, 2, 6>(simd, col);
            col += 2 * lanes;
        }
        if col < n {
            self.strip::<S, 1, 12>(simd, col);
        }
    }
}

impl Product<'_, '_, '_> {
    /// All rows of `N` vectors of columns from `col` on, `M` at a time.
    #[inline(always)]
    fn strip<S: Simd, const N: usize, const M: usize>(&mut self, simd: S, col: usize) {
        let rows = self.c.dims()[0];
        let mut row = 0;
        while row + M <= rows {
            self.tile::<S, N, M>(simd, row, col);
            row += M;
        }
        while row < rows {
            row += match rows - row {
                6.. => self.tile::<S, N, 6>(simd, row, col),
                4.. => self.tile::<S, N, 4>(simd, row, col),
                3 => self.tile::<S, N, 3>(simd, row, col),
                2 => self.tile::<S, N, 2>(simd, row, col),
                _ => self.tile::<S, N, 1>(simd, row, col),
            };
        }
    }

    /// `M` rows of `N` vectors; returns `M`.
    #[inline(always)]
    fn tile<S: Simd, const N: usize, const M: usize>(
        &mut self,
        simd: S,
        row: usize,
        col: usize,
    ) -> usize {
        let Spread { data, row: down, col: right } = self.a;
        let reach = (row + M - 1) * down + self.k.saturating_sub(1) * right;
        assert!(self.k == 0 || reach < data.len(), "k columns of a");
        // Plain loops here: `from_fn` is compiled apart, without the vectors that these are kept beside.
        let mut a = [data; M];
        for (i, a) in a.iter_mut().enumerate() {
            *a = &data[(row + i) * down..];
        }
        // Rows of whole vectors.
        let (b, at) = (S::as_simd_f32s(self.b.data).0, col / S::F32_LANES);
        let stride = self.b.stride / S::F32_LANES;
        assert!(self.k == 0 || (self.k - 1) * stride + at + N <= b.len(), "k rows of b");
        let mut sums = [[simd.splat_f32s(0.0); N]; M];
        for j in 0..self.k {
            for i in 0..M {
                // SAFETY: j < k, as far as the assertion above says that the last row reaches. With a check a row the loop
                // takes a third longer.
                let spread = simd.splat_f32s(unsafe { *a[i].get_unchecked(j * right) });
                for (v, sum) in sums[i].iter_mut().enumerate() {
                    // SAFETY: the assertion above bounds the last row, j = k - 1 and v = N - 1.
                    let b = unsafe { *b.get_unchecked(j * stride + at + v) };
                    *sum = simd.mul_add_e_f32s(spread, b, *sum);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            let c = &mut self.c.row(row + i)[col..][..N * S::F32_LANES];
            for (c, sum) in S::as_mut_simd_f32s(c).0.iter_mut().zip(sums) {
                *c = if self.accumulate { simd.add_f32s(*c, *sum) } else { *sum };
            }
        }
        M
    }
}
