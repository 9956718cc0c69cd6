//! How the quants of each type lie in a block's words, and how a vector of words becomes f32 in registers.
//!
//! A word's quants are taken one after another, the first of each word of a vector together, so that nothing is moved
//! between lanes. Types of other layouts are made f32 first and pass through as they are. It knows no matrices. Invariant:
//! every conversion is exact.

use pulp::Simd;

/// How the quants of a block lie in its words: word by word, `STEPS` of them each.
pub(super) trait Quants {
    const WORDS: usize;
    const STEPS: usize;
    /// Is a value `q * step + offset`, or the quant itself?
    const SCALED: bool;

    /// The element that is quant `step` of word `word`.
    fn element(word: usize, step: usize) -> usize;

    /// The first quant of each word.
    fn first<S: Simd>(simd: S, words: S::u32s) -> S::f32s;

    /// The words with their next quant first.
    fn next<S: Simd>(simd: S, words: S::u32s) -> S::u32s;
}

/// The float 2^23 with `bits` in its last places is 2^23 + `bits`: an integer becomes a float by one subtraction.
const ONE_A_BIT: u32 = 0x4b00_0000;

/// Nibbles, to be made less by `LESS`.
pub(super) struct Nibbles<const LESS: u32>;

impl<const LESS: u32> Quants for Nibbles<LESS> {
    const WORDS: usize = 4;
    const STEPS: usize = 8;
    const SCALED: bool = true;

    /// Nibble k of a word is that of byte k / 2: the low one, and the high one 16 elements on.
    fn element(word: usize, step: usize) -> usize {
        4 * word + step / 2 + 16 * (step % 2)
    }

    #[inline(always)]
    fn first<S: Simd>(simd: S, words: S::u32s) -> S::f32s {
        let nibbles = simd.and_u32s(words, simd.splat_u32s(15));
        let floats = simd.transmute_f32s_u32s(simd.or_u32s(nibbles, simd.splat_u32s(ONE_A_BIT)));
        simd.sub_f32s(floats, simd.splat_f32s(f32::from_bits(ONE_A_BIT + LESS)))
    }

    #[inline(always)]
    fn next<S: Simd>(simd: S, words: S::u32s) -> S::u32s {
        simd.wrapping_dyn_shr_u32s(words, simd.splat_u32s(4))
    }
}

/// Signed bytes.
pub(super) struct Bytes;

impl Quants for Bytes {
    const WORDS: usize = 8;
    const STEPS: usize = 4;
    const SCALED: bool = true;

    fn element(word: usize, step: usize) -> usize {
        4 * word + step
    }

    #[inline(always)]
    fn first<S: Simd>(simd: S, words: S::u32s) -> S::f32s {
        let bytes = simd.and_u32s(words, simd.splat_u32s(255));
        // With its sign bit turned, a signed byte is itself and 128.
        let bits = simd.xor_u32s(bytes, simd.splat_u32s(ONE_A_BIT + 128));
        let floats = simd.transmute_f32s_u32s(bits);
        simd.sub_f32s(floats, simd.splat_f32s(f32::from_bits(ONE_A_BIT + 128)))
    }

    #[inline(always)]
    fn next<S: Simd>(simd: S, words: S::u32s) -> S::u32s {
        simd.wrapping_dyn_shr_u32s(words, simd.splat_u32s(8))
    }
}

/// Values that were made f32 before.
pub(super) struct Floats;

impl Quants for Floats {
    const WORDS: usize = 32;
    const STEPS: usize = 1;
    const SCALED: bool = false;

    fn element(word: usize, _: usize) -> usize {
        word
    }

    #[inline(always)]
    fn first<S: Simd>(simd: S, words: S::u32s) -> S::f32s {
        simd.transmute_f32s_u32s(words)
    }

    #[inline(always)]
    fn next<S: Simd>(_: S, words: S::u32s) -> S::u32s {
        words
    }
}

/// Calls a function with the [`Quants`] of a type.
macro_rules! with_quants {
    ($ty:expr, $call:ident($($arg:expr),*)) => {
        match $ty {
            TensorType::Q4_0 => $call::<Nibbles<8>>($($arg),*),
            TensorType::Q4_1 | TensorType::Q4K => $call::<Nibbles<0>>($($arg),*),
            TensorType::Q8_0 => $call::<Bytes>($($arg),*),
            _ => $call::<Floats>($($arg),*),
        }
    };
}
pub(super) use with_quants;
