//! Seeded damage to a file's bytes: cuts, flips, numbers that overflow, pieces doubled, moved and left out.
//!
//! It knows no format. Invariant: the same seed does the same damage.

use crate::common::Random;

/// Numbers that counts, lengths and offsets go wrong at.
const NUMBERS: [u64; 14] = [
    0,
    1,
    31,
    33,
    255,
    1 << 16,
    (1 << 31) - 1,
    1 << 31,
    u32::MAX as u64,
    1 << 32,
    1 << 40,
    1 << 63,
    u64::MAX - 31,
    u64::MAX,
];

/// The bytes with one to three damages.
pub fn mutate(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + below(&mut random, 3) {
        damage(&mut bytes, &mut random);
    }
    bytes
}

/// Uniform in 0..n, 0 for no number at all.
fn below(random: &mut Random, n: usize) -> usize {
    (random.bits() % n.max(1) as u64) as usize
}

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = below(random, bytes.len());
    let kind = below(random, 8);
    if bytes.is_empty() {
        bytes.push(random.bits() as u8);
        return;
    }
    match kind {
        0 => bytes.truncate(at),
        1 => bytes[at] ^= 1 << below(random, 8),
        2 => bytes[at] = random.bits() as u8,
        3 | 4 => {
            let number = NUMBERS[below(random, NUMBERS.len())].to_le_bytes();
            let width = [4, 8][below(random, 2)].min(bytes.len() - at);
            bytes[at..at + width].copy_from_slice(&number[..width]);
        }
        5 => {
            let end = at + below(random, 64.min(bytes.len() - at));
            bytes.drain(at..end);
        }
        6 => {
            let piece = bytes[at..at + below(random, 64.min(bytes.len() - at))].to_vec();
            let to = below(random, bytes.len());
            bytes.splice(to..to, piece);
        }
        _ => {
            // A neighbouring number, as an off-by-one would make it.
            let width = 8.min(bytes.len() - at);
            let mut number = [0; 8];
            number[..width].copy_from_slice(&bytes[at..at + width]);
            let step = [1, u64::MAX, 32, 1 << 33][below(random, 4)];
            let moved = u64::from_le_bytes(number).wrapping_add(step).to_le_bytes();
            bytes[at..at + width].copy_from_slice(&moved[..width]);
        }
    }
}
