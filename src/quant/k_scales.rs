//! The head of a Q4_K or Q5_K block: d and dmin as half floats, then eight 6-bit scales and eight
//! 6-bit minima in 12 bytes.
//!
//! Bytes 0..4 hold scales 0..4 and bytes 4..8 minima 0..4 in their low six bits. The low nibbles of
//! bytes 8..12 are scales 4..8, the high ones minima 4..8; their upper two bits are the upper two of
//! bytes 0..4 and 4..8. It knows no quants.

use super::float16::f16_to_f32;
use half::f16;

/// Bytes of the head.
pub const HEAD_BYTES: usize = 16;
/// Parts of 32 elements in a block of 256.
pub const PARTS: usize = 8;

/// What the head says.
pub struct Head {
    /// Unit of the scales.
    pub d: f32,
    /// Unit of the minima.
    pub dmin: f32,
    /// Scale of each part, under 64.
    pub scales: [u8; PARTS],
    /// Minimum of each part, under 64.
    pub mins: [u8; PARTS],
}

impl Head {
    /// Takes the head apart.
    #[inline(always)]
    pub fn read(raw: &[u8; HEAD_BYTES]) -> Head {
        let (mut scales, mut mins) = ([0; PARTS], [0; PARTS]);
        for j in 0..4 {
            let (scale, min, both) = (raw[4 + j], raw[8 + j], raw[12 + j]);
            (scales[j], mins[j]) = (scale & 63, min & 63);
            scales[j + 4] = both & 15 | (scale >> 6) << 4;
            mins[j + 4] = both >> 4 | (min >> 6) << 4;
        }
        let half = |i: usize| f16_to_f32(u16::from_le_bytes([raw[i], raw[i + 1]]));
        Head { d: half(0), dmin: half(2), scales, mins }
    }

    /// Step and minimum of part `j`: an element is `q * step - min`.
    #[inline(always)]
    pub fn part(&self, j: usize) -> (f32, f32) {
        (self.d * f32::from(self.scales[j]), self.dmin * f32::from(self.mins[j]))
    }
}

/// The 16 bytes of a head; `d` and `dmin` are rounded to half floats, scales and minima are under
/// 64.
pub fn write(head: &Head) -> [u8; HEAD_BYTES] {
    let mut raw = [0; HEAD_BYTES];
    raw[..2].copy_from_slice(&f16::from_f32(head.d).to_le_bytes());
    raw[2..4].copy_from_slice(&f16::from_f32(head.dmin).to_le_bytes());
    for j in 0..4 {
        raw[4 + j] = head.scales[j] | (head.scales[j + 4] >> 4) << 6;
        raw[8 + j] = head.mins[j] | (head.mins[j + 4] >> 4) << 6;
        raw[12 + j] = head.scales[j + 4] & 15 | (head.mins[j + 4] & 15) << 4;
    }
    raw
}
