//! Blobs in fewer bytes, without loss: every fourth byte is coded, the other three are kept as they are.
//!
//! Blobs are numbers of 32 bits, the highest byte last. That byte holds the sign and most of the exponent, some 2.7 bits
//! of information in a trained adapter; the others are mantissas, which no coder shortens, neither alone nor as changes of a parent
//! (`bench/LOG.md`). So a blob is coded by itself, and needs no other to be read. The coder is adaptive binary arithmetic
//! coding, a byte's bits under the bits before them. It does not know names or files. Invariant: `expand` gives the bytes that `compress`
//! was given, and allocates by what there is, not by what is said.

/// The first bytes: a blob of another kind never begins so.
const MAGIC: [u8; 8] = *b"\x93blob\r\n1";

/// Magic and length.
const HEADER: usize = 16;

/// How fast a probability follows: by 1/32 of the way a bit.
const RATE: u32 = 5;

/// The bytes in fewer, or `None` where there is nothing to win.
pub fn compress(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend(bytes.iter().enumerate().filter(|(at, _)| !is_coded(*at)).map(|(_, byte)| byte));
    let mut model = Model::new();
    let (mut low, mut high) = (0u32, u32::MAX);
    for &byte in bytes.iter().skip(3).step_by(4) {
        let mut node = 1;
        for bit in (0..8).rev().map(|shift| byte >> shift & 1 == 1) {
            let middle = model.middle(node, low, high);
            if bit {
                high = middle
            } else {
                low = middle + 1
            };
            model.saw(node, bit);
            node = node * 2 + usize::from(bit);
            while (low ^ high) >> 24 == 0 {
                out.push((high >> 24) as u8);
                (low, high) = (low << 8, high << 8 | 0xff);
            }
        }
    }
    out.extend_from_slice(&high.to_be_bytes());
    (out.len() < bytes.len()).then_some(out)
}

/// The bytes that were compressed, if these are such.
pub fn expand(bytes: &[u8]) -> Option<Vec<u8>> {
    let (header, body) = bytes.split_at_checked(HEADER)?;
    let (magic, length) = header.split_at_checked(MAGIC.len())?;
    let length = usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok()?;
    if magic != MAGIC {
        return None;
    }
    // What is kept as it is must be there, so the result is at most a third longer than what was read.
    let (kept, coded) = body.split_at_checked(length - length / 4)?;
    let (mut kept, mut coded) = (kept.iter().copied(), coded.iter().copied());
    let mut model = Model::new();
    let (mut low, mut high, mut at) = (0u32, u32::MAX, 0u32);
    for _ in 0..4 {
        at = at << 8 | u32::from(coded.next()?);
    }
    let mut whole = Vec::with_capacity(length);
    for index in 0..length {
        if !is_coded(index) {
            whole.push(kept.next()?);
            continue;
        }
        let mut node = 1;
        while node < 256 {
            let middle = model.middle(node, low, high);
            let bit = at <= middle;
            if bit {
                high = middle
            } else {
                low = middle + 1
            };
            model.saw(node, bit);
            node = node * 2 + usize::from(bit);
            while (low ^ high) >> 24 == 0 {
                (low, high) = (low << 8, high << 8 | 0xff);
                at = at << 8 | u32::from(coded.next()?);
            }
        }
        whole.push((node - 256) as u8);
    }
    Some(whole)
}

fn is_coded(index: usize) -> bool {
    index % 4 == 3
}

/// The probability of each bit of a byte to be 1, in 1/65536, under the bits before it.
struct Model([u32; 256]);

impl Model {
    fn new() -> Self {
        Self([1 << 15; 256])
    }

    /// The end of a 1's part of a range; both parts have at least one number.
    fn middle(&self, node: usize, low: u32, high: u32) -> u32 {
        low + ((u64::from(high - low) * u64::from(self.0[node])) >> 16) as u32
    }

    fn saw(&mut self, node: usize, bit: bool) {
        let p = &mut self.0[node];
        *p = if bit { *p + ((65536 - *p) >> RATE) } else { *p - (*p >> RATE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    /// Bytes without any order.
    fn noise(n: usize, seed: u64) -> Vec<u8> {
        let mut state = seed.wrapping_mul(2).wrapping_add(1);
        let mut byte = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..n).map(|_| byte()).collect()
    }

    /// Numbers as training leaves them: of one scale, on both sides of 0, nearly a normal distribution's.
    fn numbers(n: usize) -> Vec<u8> {
        let twelve = noise(12 * 2 * n, 7);
        let unit = |pair: &[u8]| f32::from(u16::from_le_bytes([pair[0], pair[1]])) / 65536.0;
        let normal = |draws: &[u8]| draws.chunks(2).map(unit).sum::<f32>() - 6.0;
        twelve.chunks(24).flat_map(|draws| (normal(draws) * 0.02).to_le_bytes()).collect()
    }

    #[track_caller]
    fn check(bytes: &[u8]) {
        if let Some(small) = compress(bytes) {
            assert!(small.len() < bytes.len());
            assert_eq!(expand(&small).as_deref(), Some(bytes));
        }
    }

    #[test]
    fn what_comes_back_is_what_was_given() {
        for n in [0, 1, 2, 3, 4, 5, 7, 8, 63, 64, 1000] {
            check(&vec![0; n]);
            check(&vec![255; n]);
            check(&numbers(n));
            check(&numbers(n)[n.min(3)..]);
            check(&noise(n, n as u64));
        }
        // Long runs push every probability to its end; what follows is what was held for impossible.
        let turns: Vec<u8> =
            (0..40_000usize).map(|i| if i / 9000 % 2 == 0 { 0 } else { 255 }).collect();
        check(&turns);
        let small = compress(&numbers(10_000)).expect("numbers of one scale become fewer bytes");
        assert!((30_000..34_500).contains(&small.len()), "{} of 40000", small.len());
    }

    #[test]
    fn what_is_no_compressed_blob_is_none() {
        let small = compress(&numbers(500)).expect("it becomes smaller");
        for length in 0..HEADER + 1500 + 4 {
            assert_eq!(expand(&small[..length]), None, "{length} bytes");
        }
        let mut vast = small.clone();
        vast[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(expand(&vast), None);
        assert_eq!(expand(&numbers(500)), None);
    }
}
