//! Every tensor type against the `gguf` Python package, bit for bit: `tests/vectors/quants.py` made the blocks.
//!
//! Random bytes with finite scales go through dequantizing, on the host and as rows of a packed matrix; random values
//! go through quantizing for the types that the package can write. Invariant: no type is left out.

use apprentice::quant::pack::{Planes, cols_step, dequantize_blocks, pack};
use apprentice::quant::{TensorType, dequantize, quantize};
use safetensors::SafeTensors;

fn vectors() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/quants.safetensors");
    std::fs::read(path).expect("the vectors are committed")
}

fn floats(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let view = file.tensor(name).expect(name);
    view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// The first element of which the bits differ.
#[track_caller]
fn same_bits(what: &str, ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert_eq!(a.to_bits(), b.to_bits(), "{what}: element {i} is {a:e}, not {b:e}");
    }
}

#[test]
fn dequantizing_is_that_of_the_gguf_package() {
    let bytes = vectors();
    let file = SafeTensors::deserialize(&bytes).expect("the vectors are whole");
    for ty in TensorType::ALL {
        let name = ty.name();
        let raw = file.tensor(&format!("{name}.raw")).expect(name).data().to_vec();
        let theirs = floats(&file, &format!("{name}.values"));
        assert!(theirs.len() >= 512, "{name}: {} values say little", theirs.len());
        let mut ours = vec![f32::NAN; theirs.len()];
        dequantize(ty, &raw, &mut ours);
        same_bits(name, &ours, &theirs);
        // The same blocks as a matrix in the device's layout.
        let cols = cols_step(ty) * 2;
        let rows = theirs.len() / cols;
        let packed = pack(ty, &raw, rows, cols);
        for (row, theirs) in theirs.chunks(cols).enumerate() {
            let mut ours = vec![f32::NAN; cols];
            let (words, scales_at) = (&packed.words[..], packed.scales_at as usize);
            dequantize_blocks(&Planes { ty, words, scales_at }, row * cols / 32, &mut ours);
            same_bits(&format!("{name} packed, row {row}"), &ours, theirs);
        }
    }
}

#[test]
fn quantizing_is_that_of_the_gguf_package() {
    let bytes = vectors();
    let file = SafeTensors::deserialize(&bytes).expect("the vectors are whole");
    let mut compared = 0;
    for ty in TensorType::ALL {
        let name = ty.name();
        let Ok(theirs) = file.tensor(&format!("{name}.quantized")) else { continue };
        let x = floats(&file, &format!("{name}.x"));
        let mut ours = Vec::new();
        quantize(ty, &x, &mut ours);
        let differs = ours.chunks(ty.block_bytes()).zip(theirs.data().chunks(ty.block_bytes()));
        let differs = differs.enumerate().find(|(_, (a, b))| a != b);
        assert!(differs.is_none(), "{name}: block {differs:?}");
        assert_eq!(ours.len(), theirs.data().len(), "{name}");
        compared += 1;
    }
    assert_eq!(compared, 7, "F16, BF16 and five block types are written by the package");
}
