//! What the CPU twins of the products share: memory that a thread keeps, and transposing.
//!
//! Each thread keeps its scratch memory. Invariant: scratch is written before it is read, and nothing that a scratch is
//! lent to starts tasks of its own, so that no thread borrows it twice.

use super::parallel::Tile;
use std::cell::RefCell;
use std::thread::LocalKey;

/// Memory that a thread keeps between tasks.
pub type Scratch = LocalKey<RefCell<Vec<f32>>>;

/// Elements of a cache line.
const LINE: usize = 16;

/// Calls `f` with `n` elements of a thread's scratch, which hold anything. They begin on a cache line: vectors that lie across
/// two take two loads each.
pub fn with_scratch<T>(scratch: &'static Scratch, n: usize, f: impl FnOnce(&mut [f32]) -> T) -> T {
    scratch.with_borrow_mut(|memory| {
        if memory.len() < n + LINE {
            memory.resize(n + LINE, 0.0);
        }
        let first = memory.as_ptr().align_offset(4 * LINE);
        f(&mut memory[first..first + n])
    })
}

/// Side of the squares that a transposition goes by: a vector of AVX, half a cache line.
const SIDE: usize = 8;

type Square = [[f32; SIDE]; SIDE];

/// `to[r, c] (+)= from[c, r]`; the rows of `from` are `stride` elements apart.
pub fn transpose(from: &[f32], stride: usize, to: Tile, accumulate: bool) {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, as it just said.
        return unsafe { transpose_avx(from, stride, to, accumulate) };
    }
    by_squares(from, stride, to, accumulate, |square| {
        std::array::from_fn(|r| square.map(|column| column[r]))
    });
}

/// The compiler makes 64 single loads of a square; three rounds of eight shuffles take a third of their time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn transpose_avx(from: &[f32], stride: usize, to: Tile, accumulate: bool) {
    use std::arch::x86_64::{
        __m256, _mm256_permute2f128_ps, _mm256_shuffle_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
    };
    by_squares(from, stride, to, accumulate, |square| {
        let [a, b, c, d, e, f, g, h]: [__m256; SIDE] = bytemuck::cast(square);
        // Each of the two halves of a vector by itself: pairs of two rows, then fours of four rows.
        let fours = |a, b, c, d| {
            let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
            let (ab_high, cd_high) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
            [
                _mm256_shuffle_ps::<0b01_00_01_00>(ab, cd),
                _mm256_shuffle_ps::<0b11_10_11_10>(ab, cd),
                _mm256_shuffle_ps::<0b01_00_01_00>(ab_high, cd_high),
                _mm256_shuffle_ps::<0b11_10_11_10>(ab_high, cd_high),
            ]
        };
        let (top, bottom) = (fours(a, b, c, d), fours(e, f, g, h));
        let low = |i: usize| _mm256_permute2f128_ps::<0x20>(top[i], bottom[i]);
        let high = |i: usize| _mm256_permute2f128_ps::<0x31>(top[i], bottom[i]);
        bytemuck::cast([low(0), low(1), low(2), low(3), high(0), high(1), high(2), high(3)])
    });
}

/// Squares by `turn`, which transposes one, and what is left over element by element.
#[inline(always)]
fn by_squares(
    from: &[f32],
    stride: usize,
    mut to: Tile,
    accumulate: bool,
    turn: impl Fn(Square) -> Square,
) {
    let [rows, cols] = to.dims();
    for row in (0..rows).step_by(SIDE) {
        for col in (0..cols).step_by(SIDE) {
            if row + SIDE <= rows && col + SIDE <= cols {
                let mut square = [[0.0; SIDE]; SIDE];
                for (c, column) in square.iter_mut().enumerate() {
                    let from = from[(col + c) * stride + row..].first_chunk();
                    *column = *from.expect("a square's side");
                }
                for (r, values) in turn(square).iter().enumerate() {
                    let to = to.row(row + r)[col..].first_chunk_mut::<SIDE>();
                    let to = to.expect("a square's side");
                    for i in 0..SIDE {
                        to[i] = if accumulate { to[i] + values[i] } else { values[i] };
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
