//! The products of a packed matrix's rows with a few vectors: several texts decoded side by side.
//!
//! A vector of a row's weights is made f32 in a register and multiplied with every x before the next one is made, so no
//! dequantized number goes through memory. The quants stay as they lie in words, and the x are brought into their order
//! once a product. It knows no threads. Invariant: an element's sum is taken in an order that depends on the row's length,
//! on its place among the x and on the width of the processor's vectors alone.

use super::TensorType;
use super::dots::{convert, convert_pairs};
use super::k_scales::Head;
use super::rows::dequantize_blocks;
use super::stretch::Planes;
use super::words::{Bytes, Floats, Nibbles, Quants, with_quants};
use bytemuck::{Pod, Zeroable};
use pulp::{Arch, Simd, WithSimd};
use std::marker::PhantomData;

/// Most x: as many sums as hide the time that an addition takes. From eight on, making the weights f32 first is as fast, and
/// for sixteen faster (measured on two quiet cores, `bench/LOG.md`).
pub const FEW_MAX: usize = 6;

/// Blocks of a row taken at once: those of all x then stay in the first-level cache. Whole blocks of the K types, and
/// whole vectors.
const STRIP: usize = 24;

/// Most words of a strip that have scales.
const STRIP_WORDS: usize = 8 * STRIP;

/// Lanes of the widest vectors.
const LANES_MAX: usize = 16;

/// A few x in the order of a type's quants.
pub struct Few {
    ty: TensorType,
    rows: usize,
    /// Blocks of each x.
    blocks: usize,
    /// Strip by strip: for each vector of words and each of their quants, that of every x.
    ordered: Vec<Line>,
}

/// A cache line: vectors that lie across two take twice the time to load.
#[repr(C, align(64))]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Line([f32; 16]);

impl Few {
    /// The rows of `x`, `cols` elements each and at most [`FEW_MAX`], prepared for weights of type `ty`.
    pub fn of(x: &[f32], cols: usize, ty: TensorType) -> Few {
        assert!(cols.is_multiple_of(32), "columns of a packed matrix come in blocks of 32");
        let mut few = Few { ty, rows: x.len() / cols, blocks: cols / 32, ordered: Vec::new() };
        assert!((1..=FEW_MAX).contains(&few.rows), "{} rows are not few", few.rows);
        with_quants!(ty, order(x, &mut few));
        few
    }
}

fn order<Q: Quants>(x: &[f32], few: &mut Few) {
    Arch::new().dispatch(Order { x, few, quants: PhantomData::<Q> });
}

struct Order<'a, Q> {
    x: &'a [f32],
    few: &'a mut Few,
    quants: PhantomData<Q>,
}

impl<Q: Quants> WithSimd for Order<'_, Q> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (lanes, few) = (S::F32_LANES, self.few);
        let width = few.rows.next_multiple_of(2);
        for strip in (0..few.blocks).step_by(STRIP) {
            let blocks = STRIP.min(few.blocks - strip);
            let vectors = (blocks * Q::WORDS).div_ceil(lanes);
            let (from, n) = (few.ordered.len(), vectors * Q::STEPS * width * lanes);
            few.ordered.resize(from + n.div_ceil(16), Line::zeroed());
            let ordered = bytemuck::cast_slice_mut(&mut few.ordered[from..]);
            for (t, x) in self.x.chunks(32 * few.blocks).enumerate() {
                let x = x[32 * strip..][..32 * blocks].as_chunks::<32>().0;
                put_in_order::<Q>(x, ordered, [t, width, lanes]);
            }
        }
    }
}

/// Four words of a block at a time: their lanes are neighbours.
#[inline(always)]
fn put_in_order<Q: Quants>(x: &[[f32; 32]], ordered: &mut [f32], [t, width, lanes]: [usize; 3]) {
    for (block, x) in x.iter().enumerate() {
        for word in (0..Q::WORDS).step_by(4) {
            let at = block * Q::WORDS + word;
            for step in 0..Q::STEPS {
                let to = ((at / lanes * Q::STEPS + step) * width + t) * lanes + at % lanes;
                let four = std::array::from_fn::<f32, 4, _>(|i| x[Q::element(word + i, step)]);
                ordered[to..to + 4].copy_from_slice(&four);
            }
        }
    }
}

/// `y[t][n] (+)= w[first + n] x[t]` for each of the x of `few`, for as many rows of weights as the y are long.
///
/// Panics where a row lies outside.
pub fn dot_few(
    planes: &Planes<'_>,
    first: usize,
    few: &Few,
    y: &mut [&mut [f32]],
    accumulate: bool,
) {
    assert!(planes.ty == few.ty && few.rows == y.len(), "these x are for something else");
    with_quants!(planes.ty, multiply(planes, first, few, y, accumulate));
}

fn multiply<Q: Quants>(
    planes: &Planes<'_>,
    first: usize,
    few: &Few,
    y: &mut [&mut [f32]],
    accumulate: bool,
) {
    let (from, n) = (first * few.blocks, y[0].len() * few.blocks);
    let mut values = Vec::new();
    let words = if Q::SCALED {
        &planes.words[Q::WORDS * from..][..Q::WORDS * n]
    } else {
        values.resize(32 * n, 0.0);
        dequantize_blocks(planes, from, &mut values);
        bytemuck::cast_slice(&values)
    };
    let scales = if Q::SCALED { Scales::read(planes, from, n) } else { Scales::default() };
    let quants = PhantomData::<Q>;
    Arch::new().dispatch(Product { words, scales, few, y, accumulate, quants });
}

struct Product<'a, 'y, Q> {
    /// The quants of the rows, one after another.
    words: &'a [u32],
    scales: Scales,
    few: &'a Few,
    y: &'a mut [&'y mut [f32]],
    accumulate: bool,
    quants: PhantomData<Q>,
}

impl<Q: Quants> WithSimd for Product<'_, '_, Q> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        match self.few.rows {
            1 | 2 => self.rows::<S, 2, 2>(simd),
            3 | 4 => self.rows::<S, 1, 4>(simd),
            _ => self.rows::<S, 1, 6>(simd),
        }
    }
}

/// The scales of a strip of one row, spread over the lanes of its words; zeros behind the last word, as in the ordered x.
#[repr(align(64))]
struct Spread {
    steps: [f32; STRIP_WORDS],
    offsets: [f32; STRIP_WORDS],
}

impl Spread {
    const ZERO: Spread = Spread { steps: [0.0; STRIP_WORDS], offsets: [0.0; STRIP_WORDS] };

    #[inline(always)]
    fn fill(&mut self, steps: &[f32], offsets: &[f32], words_of_block: usize) {
        for (to, from) in [(&mut self.steps, steps), (&mut self.offsets, offsets)] {
            for (to, from) in to.chunks_exact_mut(words_of_block).zip(from) {
                to.fill(*from);
            }
        }
    }
}

impl<Q: Quants> Product<'_, '_, Q> {
    /// All rows of weights times the x, of which there is room for `T`, `N` rows at a time.
    #[inline(always)]
    fn rows<S: Simd, const N: usize, const T: usize>(&mut self, simd: S) {
        let (blocks, rows, x) = (self.few.blocks, self.y[0].len(), &self.few.ordered);
        let mut at = 0;
        for strip in (0..blocks).step_by(STRIP) {
            let width = STRIP.min(blocks - strip);
            let taken = (width * Q::WORDS).next_multiple_of(S::F32_LANES) * Q::STEPS * T;
            let lines = bytemuck::cast_slice(&x[at..at + taken.div_ceil(16)]);
            let x = S::as_simd_f32s(&lines[..taken]).0.as_chunks::<T>().0;
            at += taken.div_ceil(16);
            let mut spread = [const { Spread::ZERO }; N];
            for row in (0..rows - rows % N).step_by(N) {
                self.strip::<S, N, T>(simd, [row, strip, width], x, &mut spread);
            }
            let mut spread = [Spread::ZERO];
            for row in rows - rows % N..rows {
                self.strip::<S, 1, T>(simd, [row, strip, width], x, &mut spread);
            }
        }
    }

    /// A strip of `N` rows of weights.
    #[inline(always)]
    fn strip<S: Simd, const N: usize, const T: usize>(
        &mut self,
        simd: S,
        [row, strip, width]: [usize; 3],
        x: &[[S::f32s; T]],
        spread: &mut [Spread; N],
    ) {
        let blocks: [usize; N] = std::array::from_fn(|i| (row + i) * self.few.blocks + strip);
        if Q::SCALED {
            let Scales { steps, offsets } = &self.scales;
            for (spread, block) in spread.iter_mut().zip(blocks) {
                spread.fill(&steps[block..][..width], &offsets[block..][..width], Q::WORDS);
            }
        }
        let words = blocks.map(|block| &self.words[block * Q::WORDS..][..width * Q::WORDS]);
        let sums = products::<S, Q, N, T>(simd, words, spread, x);
        for (t, y) in self.y.iter_mut().enumerate() {
            for (y, sums) in y[row..].iter_mut().zip(&sums) {
                let sum = simd.reduce_sum_f32s(sums[t]);
                *y = if self.accumulate || strip > 0 { *y + sum } else { sum };
            }
        }
    }
}

/// What the quants of some blocks are multiplied with, and what is added then.
#[derive(Default)]
struct Scales {
    steps: Vec<f32>,
    offsets: Vec<f32>,
}

impl Scales {
    /// Those of the `n` blocks from block `first` on.
    fn read(planes: &Planes<'_>, first: usize, n: usize) -> Scales {
        let words = &planes.words[planes.scales_at..];
        let (mut steps, mut offsets) = (vec![0.0; n], vec![0.0; n]);
        match planes.ty {
            TensorType::Q4_1 => {
                convert_pairs(&words[first..][..n], &mut steps, &mut offsets);
            }
            TensorType::Q4K => {
                let heads = bytemuck::cast_slice::<u32, [u8; 16]>(&words[first / 2..][..n / 2]);
                let parts = steps.as_chunks_mut::<8>().0.iter_mut();
                let parts = parts.zip(offsets.as_chunks_mut::<8>().0);
                for ((steps, offsets), head) in parts.zip(heads) {
                    let head = Head::read(head);
                    for j in 0..8 {
                        let (step, min) = head.part(j);
                        (steps[j], offsets[j]) = (step, -min);
                    }
                }
            }
            _ => convert(&bytemuck::cast_slice(words)[first..][..n], &mut steps),
        }
        Scales { steps, offsets }
    }
}

/// The products of `N` rows with `T` of the x, in lanes.
#[inline(always)]
fn products<S: Simd, Q: Quants, const N: usize, const T: usize>(
    simd: S,
    words: [&[u32]; N],
    spread: &[Spread; N],
    x: &[[S::f32s; T]],
) -> [[S::f32s; T]; N] {
    let mut sums = [[simd.splat_f32s(0.0); T]; N];
    let vectors = words.map(|words| S::as_simd_u32s(words).0);
    let whole = vectors[0].len();
    let (x, behind) = x.split_at(whole * Q::STEPS);
    for (v, x) in x.chunks_exact(Q::STEPS).enumerate() {
        // SAFETY: v is less than `whole`, of which there are as many in each row.
        let words = vectors.map(|vectors| unsafe { *vectors.get_unchecked(v) });
        add_vector::<S, Q, N, T>(simd, words, spread, v, x, &mut sums);
    }
    if !behind.is_empty() {
        // The last words are less than a vector.
        let words = words.map(|words| {
            let rest = S::as_simd_u32s(words).1;
            let mut last = [0; LANES_MAX];
            last[..rest.len()].copy_from_slice(rest);
            S::as_simd_u32s(&last).0[0]
        });
        add_vector::<S, Q, N, T>(simd, words, spread, whole, behind, &mut sums);
    }
    sums
}

/// Adds the products of one vector of words a row.
#[inline(always)]
fn add_vector<S: Simd, Q: Quants, const N: usize, const T: usize>(
    simd: S,
    mut words: [S::u32s; N],
    spread: &[Spread; N],
    v: usize,
    x: &[[S::f32s; T]],
    sums: &mut [[S::f32s; T]; N],
) {
    let at = v * S::F32_LANES;
    let load = |of: &[f32; STRIP_WORDS]| {
        if Q::SCALED {
            S::as_simd_f32s(&of[at..at + S::F32_LANES]).0[0]
        } else {
            simd.splat_f32s(0.0)
        }
    };
    let steps: [S::f32s; N] = std::array::from_fn(|i| load(&spread[i].steps));
    let offsets: [S::f32s; N] = std::array::from_fn(|i| load(&spread[i].offsets));
    for x in x {
        for i in 0..N {
            let mut weight = Q::first(simd, words[i]);
            words[i] = Q::next(simd, words[i]);
            if Q::SCALED {
                weight = simd.mul_add_e_f32s(weight, steps[i], offsets[i]);
            }
            for (sum, x) in sums[i].iter_mut().zip(x) {
                *sum = simd.mul_add_e_f32s(weight, *x, *sum);
            }
        }
    }
}
