//! Vectors of f32 in 16 lanes, as loops that the compiler turns into vector code, with one order of sums for every
//! instruction set.
//!
//! Everything here is inlined into functions that carry `multiversion`, so it is compiled once for each set. Products
//! and sums are never fused: the same numbers come out of each set and of wasm.

/// Lanes of a vector loop.
pub const LANES: usize = 16;

/// Adds the lanes pairwise.
///
/// The lanes go through memory first. Else the compiler, seeing halves of the vector added to each other, may cut the
/// loop before it into narrow vectors, which made sums up to nine times slower.
#[inline(always)]
pub fn sum_lanes(lanes: [f32; LANES]) -> f32 {
    let mut lanes = std::hint::black_box(lanes);
    let mut step = LANES / 2;
    while step > 0 {
        for i in 0..step {
            lanes[i] += lanes[i + step];
        }
        step /= 2;
    }
    lanes[0]
}

/// Σ a b.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
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

/// Σ x.
#[inline(always)]
pub fn sum(x: &[f32]) -> f32 {
    let (lanes, rest) = x.as_chunks::<LANES>();
    let mut sums = [0f32; LANES];
    for x in lanes {
        for i in 0..LANES {
            sums[i] += x[i];
        }
    }
    sum_lanes(sums) + rest.iter().sum::<f32>()
}

/// The largest of `x`, or about minus infinity where it is empty.
#[inline(always)]
pub fn max(x: &[f32]) -> f32 {
    let (lanes, rest) = x.as_chunks::<LANES>();
    let mut most = [-1.0e30f32; LANES];
    for x in lanes {
        for i in 0..LANES {
            most[i] = if x[i] > most[i] { x[i] } else { most[i] };
        }
    }
    most.iter().chain(rest).fold(-1.0e30, |most, &x| if x > most { x } else { most })
}

/// e^x to about one part in ten million, vectorizable; below -87 it is the smallest normal number's size, above 88
/// it stays finite, NaN stays NaN.
///
/// x = n ln 2 + r with |r| ≤ ln 2 / 2; e^r by its Taylor polynomial of degree 7 (the rest is under 1e-8), and 2^n by
/// the float's exponent bits.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    // Adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts, the first exact in few bits, so that n times it is exact.
    let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let mut e = 1.0 / 5040.0;
    e = e * r + 1.0 / 720.0;
    e = e * r + 1.0 / 120.0;
    e = e * r + 1.0 / 24.0;
    e = e * r + 1.0 / 6.0;
    e = e * r + 0.5;
    e = e * r + 1.0;
    e = e * r + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127);
    e * f32::from_bits(exponent << 23)
}

/// silu(x) = x / (1 + e^-x).
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}
