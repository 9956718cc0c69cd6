//! The block types against hand-computed blocks, the device layout against its inverse, rows
//! against plain sums.

use crate::common::{Random, whole_cols};
use apprentice::quant::float16::f16_to_f32;
use apprentice::quant::pack::{
    Blocks, Planes, dequantize_blocks, dot_rows, pack, packed_words, unpack,
};
use apprentice::quant::{TensorType, dequantize, quantize};

/// Random file bytes of a matrix whose scales are finite.
fn random_matrix(ty: TensorType, rows: usize, cols: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let values: Vec<f32> = (0..rows * cols).map(|_| random.float()).collect();
    let mut raw = Vec::new();
    quantize(ty, &values, &mut raw);
    raw
}

#[test]
fn half_floats_agree_with_the_half_crate_on_every_pattern() {
    for bits in 0..=u16::MAX {
        let (ours, theirs) = (f16_to_f32(bits), half::f16::from_bits(bits).to_f32_const());
        assert_eq!(ours.to_bits(), theirs.to_bits(), "pattern {bits:#06x}");
    }
}

#[test]
fn blocks_have_the_bytes_of_the_reference() {
    // Powers of two keep the scales exact, so the bytes can be computed by hand.
    let ramp: Vec<f32> = (0..32).map(|i| (i % 16) as f32 - 8.0).collect();
    let nibbles: Vec<u8> = (0..16).map(|i| i | i << 4).collect();
    let check = |ty: TensorType, x: &[f32], scales: &[u16], quants: &[u8]| {
        let mut raw = Vec::new();
        quantize(ty, x, &mut raw);
        let mut expected: Vec<u8> = scales.iter().flat_map(|half| half.to_le_bytes()).collect();
        expected.extend(quants);
        assert_eq!(raw, expected, "{}", ty.name());
        let mut back = vec![f32::NAN; x.len()];
        dequantize(ty, &raw, &mut back);
        back
    };
    // Q4_0: the extreme -8 over -8 gives d = 1.
    assert_eq!(check(TensorType::Q4_0, &ramp, &[0x3c00], &nibbles), ramp);
    // Q4_1: d = (7 - -8) / 15 = 1, m = -8.
    assert_eq!(check(TensorType::Q4_1, &ramp, &[0x3c00, 0xc800], &nibbles), ramp);
    // Q8_0: d = 127 / 127 = 1; halves go away from zero.
    let mut x = vec![0.0; 32];
    (x[0], x[1], x[2], x[3]) = (127.0, -127.0, 2.5, -2.5);
    let mut q = vec![0u8; 32];
    (q[0], q[1], q[2], q[3]) = (127, 129, 3, 253);
    let back = check(TensorType::Q8_0, &x, &[0x3c00], &q);
    assert_eq!(back[..4], [127.0, -127.0, 3.0, -3.0]);
    // Halves round up, the end opposite the extreme is clamped: both with a step of 1.
    let mut x = vec![-8.0; 32];
    (x[0], x[1], x[2], x[3], x[4]) = (2.5, 2.49, 7.9, -7.5, -7.51);
    let mut q = vec![0u8; 16];
    (q[0], q[1], q[2], q[3], q[4]) = (11, 10, 15, 1, 0);
    check(TensorType::Q4_0, &x, &[0x3c00], &q);
    x[2] = 7.0;
    check(TensorType::Q4_1, &x, &[0x3c00, 0xc800], &q);
    // A zero block has a zero scale, not a division by it. The reference divides zero by -8.
    check(TensorType::Q4_0, &[0.0; 32], &[0x8000], &[0x88; 16]);
    check(TensorType::Q4_1, &[0.0; 32], &[0, 0], &[0; 16]);
    check(TensorType::Q8_0, &[0.0; 32], &[0], &[0; 32]);
}

#[test]
fn quantized_values_are_within_half_a_step() {
    for (ty, step) in [
        (TensorType::Q4_0, 1.0 / 8.0),
        (TensorType::Q4_1, 2.0 / 15.0),
        (TensorType::Q5_0, 1.0 / 16.0),
        (TensorType::Q5_1, 2.0 / 31.0),
        (TensorType::Q8_0, 1.0 / 127.0),
    ] {
        let mut random = Random(7);
        let x: Vec<f32> = (0..320).map(|_| random.float()).collect();
        let (mut raw, mut back) = (Vec::new(), vec![f32::NAN; 320]);
        quantize(ty, &x, &mut raw);
        dequantize(ty, &raw, &mut back);
        // Q4_0 and Q5_0 clamp the end opposite their extreme, so they may be off by a whole step
        // there; f16 scales add 2^-11.
        let clamps = matches!(ty, TensorType::Q4_0 | TensorType::Q5_0);
        let tolerance = if clamps { step } else { step / 2.0 } * 1.01 + 1e-3;
        for (x, back) in x.iter().zip(&back) {
            assert!((x - back).abs() <= tolerance, "{}: {x} became {back}", ty.name());
        }
    }
}

#[test]
fn packing_loses_nothing() {
    for ty in TensorType::ALL {
        // Odd block counts leave half-filled words and padding.
        for (rows, cols) in [(1, 32), (3, 32), (5, 96), (2, 64), (7, 576)] {
            let cols = whole_cols(ty, cols);
            let mut random = Random(rows as u64 * 31 + cols as u64);
            let bytes = ty.row_bytes(cols) * rows;
            let raw: Vec<u8> = (0..bytes).map(|_| random.bits() as u8).collect();
            let packed = pack(ty, &raw, rows, cols);
            let what = format!("{} {rows} x {cols}", ty.name());
            assert_eq!(packed.words.len(), packed_words(ty, rows, cols), "{what}");
            assert_eq!(packed.words.len() % 4, 0, "{what}");
            assert!(packed.words.len() * 4 < bytes + 16, "{what}: more than padding was added");
            assert_eq!(unpack(ty, &packed, rows, cols), raw, "{what}");
        }
    }
}

#[test]
fn packed_words_lie_where_the_layout_says() {
    let cols = 96;
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
    let raw = random_matrix(TensorType::Q4_0, 1, cols, 1);
    let packed = pack(TensorType::Q4_0, &raw, 1, cols);
    assert_eq!(packed.scales_at, 12);
    assert_eq!(packed.words[4], word(&raw[18 + 2..][..4]));
    assert_eq!(packed.words[12], word(&[raw[0], raw[1], raw[18], raw[19]]));
    assert_eq!(packed.words[13], word(&[raw[36], raw[37], 0, 0]));
    let raw = random_matrix(TensorType::Q4_1, 1, cols, 2);
    let packed = pack(TensorType::Q4_1, &raw, 1, cols);
    assert_eq!((packed.scales_at, packed.words[13]), (12, word(&raw[20..24])));
    assert_eq!(packed.words[8], word(&raw[44..48]));
    let raw = random_matrix(TensorType::Q8_0, 1, cols, 3);
    let packed = pack(TensorType::Q8_0, &raw, 1, cols);
    assert_eq!((packed.scales_at, packed.words[8]), (24, word(&raw[36..40])));
    assert_eq!(packed.words[24], word(&[raw[0], raw[1], raw[34], raw[35]]));
    let raw = random_matrix(TensorType::F16, 1, cols, 4);
    let packed = pack(TensorType::F16, &raw, 1, cols);
    assert_eq!((packed.scales_at, packed.words[17]), (0, word(&raw[68..72])));
    let raw = random_matrix(TensorType::Q5_1, 1, cols, 5);
    let packed = pack(TensorType::Q5_1, &raw, 1, cols);
    assert_eq!((packed.scales_at, packed.words[4]), (15, word(&raw[24 + 8..][..4])));
    assert_eq!(packed.words[13], word(&raw[24 + 4..][..4]));
    assert_eq!(packed.words[16], word(&raw[24..][..4]));
}

/// In K-quants the file mixes two parts of 32 elements in a byte; the device has each part alone.
#[test]
fn packed_k_quants_have_a_part_in_16_bytes() {
    let cols = 512;
    let raw = random_matrix(TensorType::Q4K, 2, cols, 1);
    let packed = pack(TensorType::Q4K, &raw, 2, cols);
    assert_eq!((packed.words.len(), packed.scales_at), (144, 128));
    let bytes: &[u8] = bytemuck::cast_slice(&packed.words);
    // Elements 3 and 19 of part 1 of block 2: high nibbles of the file's bytes 3 and 19.
    let file = &raw[2 * 144 + 16..];
    assert_eq!(bytes[(2 * 8 + 1) * 16 + 3], file[3] >> 4 | file[19] >> 4 << 4);
    assert_eq!(bytes[4 * 128 + 2 * 16..][..16], raw[2 * 144..][..16]);
    let raw = random_matrix(TensorType::Q5K, 2, cols, 2);
    let packed = pack(TensorType::Q5K, &raw, 2, cols);
    assert_eq!((packed.words.len(), packed.scales_at), (176, 160));
    // The fifth bit of element 5 of part 6 of block 1.
    let fifth = packed.words[128 + 8 + 6] >> 5 & 1;
    assert_eq!(fifth as u8, raw[176 + 16 + 5] >> 6 & 1);
    let raw = random_matrix(TensorType::Q6K, 2, cols, 3);
    let packed = pack(TensorType::Q6K, &raw, 2, cols);
    assert_eq!((packed.words.len(), packed.scales_at), (212, 192));
    let bytes: &[u8] = bytemuck::cast_slice(&packed.words);
    // Element 25 of part 2 of block 3 is element 89 of its half: bits 4 and 5 of the half's pair byte 25.
    let pair = bytes[4 * 128 + (3 * 8 + 2) * 8 + 1] >> 6;
    assert_eq!(pair, raw[3 * 210 + 128 + 25] >> 4 & 3);
    assert_eq!(bytes[4 * 192 + 3 * 16..][..16], raw[3 * 210 + 192..][..16]);
    assert_eq!(bytes[4 * 208 + 2 * 3..][..2], raw[3 * 210 + 208..][..2]);
}

#[test]
fn packed_rows_have_the_files_values_and_products() {
    for ty in TensorType::ALL {
        for (rows, cols) in [(3, 32), (5, 96), (4, 576), (3, 1536)] {
            let cols = whole_cols(ty, cols);
            let raw = random_matrix(ty, rows, cols, cols as u64);
            let packed = pack(ty, &raw, rows, cols);
            let at = packed.scales_at as usize;
            let mut random = Random(5);
            let x: Vec<f32> = (0..cols).map(|_| random.float()).collect();
            let mut products = vec![0.0; rows];
            dot_rows(ty, (&packed.words, at), 0, &Blocks::of(&x, ty), &mut products);
            for row in 0..rows {
                let what = format!("{} row {row} of {rows} x {cols}", ty.name());
                let mut expected = vec![0.0; cols];
                let row_bytes = ty.row_bytes(cols);
                dequantize(ty, &raw[row * row_bytes..][..row_bytes], &mut expected);
                let mut values = vec![f32::NAN; cols];
                let planes = Planes { ty, words: &packed.words, scales_at: at };
                dequantize_blocks(&planes, row * cols / 32, &mut values);
                assert_eq!(values, expected, "{what}");
                let product = products[row];
                let mut alone = [f32::NAN];
                dot_rows(ty, (&packed.words, at), row, &Blocks::of(&x, ty), &mut alone);
                assert_eq!(alone[0].to_bits(), product.to_bits(), "{what}: alone and in a group");
                let terms = expected.iter().zip(&x).map(|(w, x)| f64::from(*w) * f64::from(*x));
                let (sum, size) =
                    terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
                // A sum of n terms in f32 errs by at most about n * 2^-24 of their magnitude; 16
                // lanes err less.
                let error = (f64::from(product) - sum).abs();
                assert!(error <= 1e-6 * size, "{what}: {product} is not {sum}");
            }
        }
    }
}
