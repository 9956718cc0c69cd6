//! What the CPU twins of attention share: the query heads of one key head over a block of rows, as one matrix.
//!
//! Keys and values are read once for all heads that share them. Scores lie with a key a row and a query a column, so that
//! what is done to them runs along vectors, and the products with keys and values take those as they lie. Column g * rows + t
//! is head g of the group and row t of the block. It knows no kernel and no threads. Invariant: how a sum is taken depends
//! on the block's size and on what its rows see alone.

use super::micro::{self, Rows, Spread};
use super::panel::transpose;
use super::parallel::Tile;
use multiversion::multiversion;
use std::ops::Range;

/// Rows of a block.
pub const BLOCK: usize = 32;

/// Columns come in eights at least, so that loops over them are vector code on every processor.
pub const STEP: usize = 8;

/// How much of a product's inner dimension is taken at once: its operands then stay in the first-level cache.
const DEEP: usize = 128;

/// Columns of a matrix of whole vectors that has room for `cols`.
pub fn whole(cols: usize) -> usize {
    cols.next_multiple_of(STEP.max(micro::lanes()))
}

/// The first that any span sees, and the one after the last.
pub fn seen_by_any<const N: usize>(spans: &[[u32; N]]) -> Range<usize> {
    let seen = spans.iter().filter(|span| span[0] < span[1]);
    let (lo, hi) = seen.fold((u32::MAX, 0), |(lo, hi), span| (lo.min(span[0]), hi.max(span[1])));
    lo.min(hi) as usize..hi as usize
}

/// c (+)= a b as [`micro::product`]; without inner dimension nothing is added.
pub fn product<'a>(
    k: usize,
    a: impl Into<Spread<'a>>,
    b: Rows<'_>,
    c: &mut Tile<'_>,
    accumulate: bool,
) {
    let a = a.into();
    if k == 0 && !accumulate {
        (0..c.dims()[0]).for_each(|i| c.row(i).fill(0.0));
    }
    for first in (0..k).step_by(DEEP) {
        let b = Rows { data: &b.data[first * b.stride..], ..b };
        micro::product(DEEP.min(k - first), a.behind(first), b, c, accumulate || first > 0);
    }
}

/// A head's part of a matrix of `stride` elements a row, from its first element on.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    pub data: &'a [f32],
    pub stride: usize,
    pub head_dim: usize,
}

impl<'a> Head<'a> {
    /// The head whose first element is `at` elements into the matrix; none where the matrix ends before.
    pub fn new(matrix: &'a [f32], at: usize, stride: usize, head_dim: usize) -> Head<'a> {
        Head { data: &matrix[at.min(matrix.len())..], stride, head_dim }
    }

    /// As it lies.
    pub fn rows(self) -> Rows<'a> {
        Rows { data: self.data, stride: self.stride }
    }

    /// Its first `n` rows in whole vectors: as they lie where they are such, else copied, zeros behind them.
    pub fn vectors<'b>(self, n: usize, copy: &'b mut Vec<f32>) -> Rows<'b>
    where
        'a: 'b,
    {
        let width = whole(self.head_dim);
        if width == self.head_dim && self.stride.is_multiple_of(width) {
            return self.rows();
        }
        copy.resize(n * width, 0.0);
        for (to, from) in copy.chunks_mut(width).zip(self.data.chunks(self.stride)) {
            to[..self.head_dim].copy_from_slice(&from[..self.head_dim]);
        }
        Rows { data: copy, stride: width }
    }

    /// `share` heads of `rows` rows side by side as columns `[head_dim, whole(share * rows)]`, times `by`, zeros behind
    /// them.
    pub fn columns(self, [share, rows]: [usize; 2], by: f32, to: &mut [f32]) {
        let width = whole(share * rows);
        for g in 0..share {
            let part = Tile::of(&mut to[g * rows..], width, [self.head_dim, rows]);
            transpose(&self.data[g * self.head_dim..], self.stride, part, false);
        }
        for to in to.chunks_exact_mut(width) {
            to[..share * rows].iter_mut().for_each(|x| *x *= by);
            to[share * rows..].fill(0.0);
        }
    }
}

/// What the columns of a matrix of scores see of its rows.
pub struct Sight {
    /// For each column lo, hi and the hole's lo and hi; columns that stand for nothing see nothing.
    spans: [Vec<u32>; 4],
    /// What every column that stands for something sees, but for the hole that holds all holes.
    common: [Range<u32>; 2],
}

impl Sight {
    /// Columns of `share` heads, in each of which column t has the span `spans[t]`: lo and hi, and maybe a hole's.
    pub fn of<const N: usize>(spans: &[[u32; N]], share: usize) -> Sight {
        let all = |i: usize| spans.iter().map(move |span| if i < N { span[i] } else { 0 });
        let column = |i: usize| {
            let mut column: Vec<u32> = (0..share).flat_map(|_| all(i)).collect();
            column.resize(whole(column.len()), 0);
            column
        };
        let common = all(0).max().unwrap_or(0)..all(1).min().unwrap_or(0);
        let holes = (all(2).zip(all(3))).filter(|(lo, hi)| lo < hi);
        let (lo, hi) =
            holes.fold((u32::MAX, 0), |all, hole| (all.0.min(hole.0), all.1.max(hole.1)));
        Sight { spans: std::array::from_fn(column), common: [common, lo..hi] }
    }

    /// Makes what is not seen `value`, in a matrix whose rows begin with row `first`.
    pub fn hide(&self, first: usize, matrix: &mut [f32], value: f32) {
        let [common, hole] = &self.common;
        let width = self.spans[0].len();
        for (row, values) in (first as u32..).zip(matrix.chunks_exact_mut(width)) {
            if !common.contains(&row) || hole.contains(&row) {
                hide_in_row(row, self.spans.each_ref().map(Vec::as_slice), values, value);
            }
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn hide_in_row(row: u32, spans: [&[u32]; 4], values: &mut [f32], value: f32) {
    let [lo, hi, hole_lo, hole_hi] = spans.map(|span| span.as_chunks::<STEP>().0);
    let values = values.as_chunks_mut::<STEP>().0.iter_mut();
    for ((((values, lo), hi), hole_lo), hole_hi) in values.zip(lo).zip(hi).zip(hole_lo).zip(hole_hi)
    {
        for i in 0..STEP {
            let hidden =
                (row < lo[i]) | (row >= hi[i]) | ((row >= hole_lo[i]) & (row < hole_hi[i]));
            values[i] = if hidden { value } else { values[i] };
        }
    }
}
