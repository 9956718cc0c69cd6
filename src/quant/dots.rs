//! The products of a packed matrix's rows with one vector: the hottest loop of decoding.
//!
//! What all rows share is prepared once a product ([`Blocks`]), and the scales of a task's rows become f32 together.
//! Nibbles are taken as they lie in words: a shift brings eight of two blocks to the lanes of a vector, and the vector x
//! is brought into that order instead of the nibbles into its. It knows no threads. Invariant: a row's sums are taken in
//! the same order whichever rows are taken with it.

use super::TensorType;
use super::float16::f16_to_f32;
use super::rows;
use super::stretch::Planes;
use multiversion::multiversion;

/// Lanes of the loop over nibbles: two blocks of four words.
const LANES: usize = 8;

/// x of two blocks in the order of their nibbles: shift by shift, the lanes of two blocks.
type Pair = [[f32; LANES]; 8];

/// x of a block in the order of its bytes: shift by shift, the lanes of its words.
type Quad = [[f32; LANES]; 4];

/// A vector in blocks of 32 as the rows of one type want it: each block's sum, which the offsets of Q4_0 and Q4_1 are
/// multiplied with, and its elements in the order of the type's quants.
pub struct Blocks<'a> {
    x: &'a [[f32; 32]],
    sums: Vec<f32>,
    pairs: Vec<Pair>,
    quads: Vec<Quad>,
}

impl<'a> Blocks<'a> {
    /// `x` prepared for rows of type `ty`; its length is a multiple of 32.
    pub fn of(x: &'a [f32], ty: TensorType) -> Blocks<'a> {
        let (x, rest) = x.as_chunks();
        assert!(rest.is_empty(), "columns of a packed matrix come in blocks of 32");
        let (mut sums, mut pairs, mut quads) = (Vec::new(), Vec::new(), Vec::new());
        match ty {
            TensorType::Q4_0 | TensorType::Q4_1 => {
                sums = x.iter().map(sum_block).collect();
                pairs = x.as_chunks().0.iter().map(pair).collect();
            }
            TensorType::Q8_0 => quads = x.iter().map(quad).collect(),
            _ => {}
        }
        Blocks { x, sums, pairs, quads }
    }
}

/// Nibble k of a word is that of byte k / 2: the low one is element 4 word + k / 2, the high one 16 elements on.
fn pair(x: &[[f32; 32]; 2]) -> Pair {
    std::array::from_fn(|k| {
        std::array::from_fn(|lane| x[lane / 4][4 * (lane % 4) + k / 2 + 16 * (k % 2)])
    })
}

/// Byte k of a word is element 4 word + k.
fn quad(x: &[f32; 32]) -> Quad {
    std::array::from_fn(|k| std::array::from_fn(|lane| x[4 * lane + k]))
}

fn sum_block(x: &[f32; 32]) -> f32 {
    let mut lanes = [0f32; LANES];
    for x in x.as_chunks::<LANES>().0 {
        for i in 0..LANES {
            lanes[i] += x[i];
        }
    }
    sum_lanes(lanes)
}

/// The products of the rows from `first` on with `x`, one for each element of `y`.
///
/// `words` and `scales_at` are a packed matrix part's. Panics where a row lies outside.
pub fn dot_rows(
    ty: TensorType,
    (words, scales_at): (&[u32], usize),
    first: usize,
    x: &Blocks<'_>,
    y: &mut [f32],
) {
    let n_blocks = x.x.len();
    let (from, n) = (first * n_blocks, y.len() * n_blocks);
    let nibbles = || words[4 * from..][..4 * n].as_chunks().0;
    let halves = || &bytemuck::cast_slice(&words[scales_at..])[from..][..n];
    let mut d = vec![0.0; n];
    let mut lanes = vec![[0.0; LANES]; y.len()];
    match ty {
        TensorType::Q4_0 => {
            convert(halves(), &mut d);
            // (q - 8) d = q d + m with m = -8 d, exactly.
            let m: Vec<f32> = d.iter().map(|d| -8.0 * d).collect();
            nibble_lanes(nibbles(), &d, x, &mut lanes);
            add_lanes(&lanes, y);
            add_offsets(&m, &x.sums, y);
        }
        TensorType::Q4_1 => {
            let mut m = vec![0.0; n];
            convert_pairs(&words[scales_at + from..][..n], &mut d, &mut m);
            nibble_lanes(nibbles(), &d, x, &mut lanes);
            add_lanes(&lanes, y);
            add_offsets(&m, &x.sums, y);
        }
        TensorType::Q8_0 => {
            convert(halves(), &mut d);
            byte_lanes(words[8 * from..][..8 * n].as_chunks().0, &d, x, &mut lanes);
            add_lanes(&lanes, y);
        }
        _ => {
            let planes = Planes { ty, words, scales_at };
            for (row, y) in (first..).zip(y) {
                *y = rows::dot(&planes, row * n_blocks, x.x);
            }
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub(super) fn convert(halves: &[u16], d: &mut [f32]) {
    for (d, half) in d.iter_mut().zip(halves) {
        *d = f16_to_f32(*half);
    }
}

/// A word's low half is d, its high half m.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub(super) fn convert_pairs(words: &[u32], d: &mut [f32], m: &mut [f32]) {
    for ((d, m), word) in d.iter_mut().zip(m).zip(words) {
        *d = f16_to_f32(*word as u16);
        *m = f16_to_f32((*word >> 16) as u16);
    }
}

/// Σ_b d_b Σ_i q x of each row, in lanes. That the lanes are stored before they are added up is what makes the compiler
/// keep them in one vector.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn nibble_lanes(quants: &[[u32; 4]], d: &[f32], x: &Blocks, lanes: &mut [[f32; LANES]]) {
    let n = x.x.len();
    for (lanes, (quants, d)) in lanes.iter_mut().zip(quants.chunks_exact(n).zip(d.chunks_exact(n)))
    {
        let mut sums = [0f32; LANES];
        let (quant_pairs, quant_rest) = quants.as_chunks::<2>();
        let (d_pairs, d_rest) = d.as_chunks::<2>();
        for ((quants, d), x) in quant_pairs.iter().zip(d_pairs).zip(&x.pairs) {
            add_pair(quants, d, x, &mut sums);
        }
        // The last block of an odd number: beside it is one of zeros.
        if let ([quants], [d], [.., last]) = (quant_rest, d_rest, x.x) {
            add_pair(&[*quants, [0; 4]], &[*d, 0.0], &pair(&[*last, [0.0; 32]]), &mut sums);
        }
        *lanes = sums;
    }
}

#[inline(always)]
fn add_pair(quants: &[[u32; 4]; 2], d: &[f32; 2], x: &Pair, sums: &mut [f32; LANES]) {
    let words = quants.as_flattened();
    let mut products = [0f32; LANES];
    for (k, x) in x.iter().enumerate() {
        for lane in 0..LANES {
            let q = (words[lane] >> (4 * k)) & 15;
            products[lane] += q as i32 as f32 * x[lane];
        }
    }
    for lane in 0..LANES {
        sums[lane] += d[lane / 4] * products[lane];
    }
}

/// Σ_b d_b Σ_i q x of each row, in lanes.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn byte_lanes(quants: &[[u32; LANES]], d: &[f32], x: &Blocks, lanes: &mut [[f32; LANES]]) {
    let n = x.x.len();
    for (lanes, (quants, d)) in lanes.iter_mut().zip(quants.chunks_exact(n).zip(d.chunks_exact(n)))
    {
        let mut sums = [0f32; LANES];
        for ((words, d), x) in quants.iter().zip(d).zip(&x.quads) {
            add_quad(words, *d, x, &mut sums);
        }
        *lanes = sums;
    }
}

#[inline(always)]
fn add_quad(words: &[u32; LANES], d: f32, x: &Quad, sums: &mut [f32; LANES]) {
    let mut products = [0f32; LANES];
    for (k, x) in x.iter().enumerate() {
        for lane in 0..LANES {
            let q = (words[lane] << (24 - 8 * k)) as i32 >> 24;
            products[lane] += q as f32 * x[lane];
        }
    }
    for lane in 0..LANES {
        sums[lane] += d * products[lane];
    }
}

/// y = the sums of the lanes.
fn add_lanes(lanes: &[[f32; LANES]], y: &mut [f32]) {
    for (y, lanes) in y.iter_mut().zip(lanes) {
        *y = sum_lanes(*lanes);
    }
}

/// y += Σ_b m_b Σ_i x.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn add_offsets(m: &[f32], sums: &[f32], y: &mut [f32]) {
    for (y, m) in y.iter_mut().zip(m.chunks_exact(sums.len())) {
        *y += dot(m, sums);
    }
}

/// Σ a b.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_lanes, a_rest) = a.as_chunks::<LANES>();
    let (b_lanes, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0f32; LANES];
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for i in 0..LANES {
            sums[i] += a[i] * b[i];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sum_lanes(sums) + rest
}

/// Adds the lanes pairwise.
#[inline(always)]
fn sum_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut step = LANES / 2;
    while step > 0 {
        for i in 0..step {
            lanes[i] += lanes[i + step];
        }
        step /= 2;
    }
    lanes[0]
}
