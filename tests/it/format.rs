//! GGUF: round trips, the real model, and files that are cut short, lie or repeat themselves.

use crate::common::default_model;
use apprentice::format::error::FormatError;
use apprentice::format::gguf::Gguf;
use apprentice::format::gguf_value::{Numbers, Value};
use apprentice::format::gguf_writer::GgufWriter;
use apprentice::format::source::{BytesSource, FileSource};
use apprentice::quant::TensorType;

fn read(bytes: &[u8]) -> Result<Gguf, FormatError> {
    pollster::block_on(Gguf::read(&mut BytesSource::new("small.gguf", bytes.to_vec())))
}

fn small() -> GgufWriter {
    let mut writer = GgufWriter::new();
    writer
        .key("general.architecture", Value::String("llama".into()))
        .key("llama.block_count", Value::U32(2))
        .key("llama.rope.freq_base", Value::F32(1e5))
        .key("tokenizer.ggml.add_bos_token", Value::Bool(false))
        .key("tokenizer.ggml.tokens", Value::Strings(["a", "", "ü"].iter().collect()))
        .key("tokenizer.ggml.token_type", Value::Numbers(Numbers::from_i32(&[1, -3, 6])))
        .tensor("a.weight", TensorType::F32, &[3], vec![1; 12])
        .tensor("b.weight", TensorType::Q4_1, &[64, 2], vec![2; 80]);
    writer
}

#[test]
fn what_is_written_is_read_back() {
    let bytes = small().to_bytes();
    let gguf = read(&bytes).unwrap();
    let meta = &gguf.metadata;
    assert_eq!(meta.str("general.architecture").unwrap(), "llama");
    assert_eq!(meta.usize("llama.block_count").unwrap(), 2);
    assert_eq!(meta.f32("llama.rope.freq_base").unwrap(), 1e5);
    assert_eq!(meta.opt_bool("tokenizer.ggml.add_bos_token").unwrap(), Some(false));
    let tokens: Vec<_> = meta.strings("tokenizer.ggml.tokens").unwrap().iter().collect();
    assert_eq!(tokens, ["a", "", "ü"]);
    let types = meta.opt_numbers("tokenizer.ggml.token_type").unwrap().unwrap();
    assert_eq!(types.iter_i64().collect::<Vec<_>>(), [1, -3, 6]);
    assert_eq!(gguf.tensors.len(), 2);
    let tensor = gguf.tensor("b.weight").unwrap();
    assert_eq!((tensor.cols(), tensor.rows(), tensor.bytes), (64, 2, 80));
    assert_eq!(bytes[tensor.offset as usize..][..80], [2; 80]);
    assert_eq!(tensor.offset % 32, 0);
}

#[test]
fn errors_name_the_key() {
    let gguf = read(&small().to_bytes()).unwrap();
    let text = |result: Result<usize, FormatError>| result.unwrap_err().to_string();
    assert!(text(gguf.metadata.usize("llama.nothing")).contains("`llama.nothing`"));
    let wrong = text(gguf.metadata.usize("general.architecture"));
    assert!(wrong.contains("`general.architecture`") && wrong.contains("llama"), "{wrong}");
    let missing = gguf.tensor("c.weight").unwrap_err().to_string();
    assert!(missing.contains("`c.weight`"), "{missing}");
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let bytes = small().to_bytes();
    for len in 0..bytes.len() {
        let error = read(&bytes[..len]).expect_err(&format!("{len} of {} bytes", bytes.len()));
        let text = error.to_string();
        assert!(matches!(error, FormatError::CutShort { .. }), "cut at {len}: {text}");
        assert!(text.contains(&format!("ends at byte {len}")), "cut at {len}: {text}");
    }
}

#[test]
fn a_file_with_any_byte_changed_never_panics() {
    let bytes = small().to_bytes();
    let mut refused = 0;
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            refused += usize::from(read(&changed).is_err());
        }
    }
    // Flips in counts, lengths, types and offsets must be caught; flips in values and data cannot
    // be.
    assert!(refused > bytes.len() / 3, "only {refused} changes were refused");
}

/// Changes `with` at the first place after `after` and expects an error that contains `says`.
#[track_caller]
fn check_lie(after: &str, skip: usize, with: &[u8], says: &str) {
    let mut bytes = small().to_bytes();
    let found = bytes.windows(after.len()).position(|window| window == after.as_bytes());
    let at = found.expect("the marker is in the file") + after.len() + skip;
    bytes[at..][..with.len()].copy_from_slice(with);
    let error = read(&bytes).expect_err(says).to_string();
    assert!(error.contains(says), "{error:?} does not say {says:?}");
}

#[test]
fn lies_are_named() {
    let huge = u64::MAX.to_le_bytes();
    check_lie("GGUF", 0, &1u32.to_le_bytes(), "GGUF version 1");
    check_lie("GGUF", 0, &3u32.to_be_bytes(), "big-endian");
    check_lie("GGUF", 4, &huge, "the number of tensors at byte 8");
    check_lie("GGUF", 12, &huge, "the number of metadata keys at byte 16");
    check_lie("GGUF", 12, &5u64.to_le_bytes(), "tensor");
    check_lie("general.architecture", 0, &99u32.to_le_bytes(), "`general.architecture`");
    check_lie("general.architecture", 4, &huge, "metadata key `general.architecture`");
    check_lie("general.architecture", 12, &[0xff], "not UTF-8");
    check_lie("tokenizer.ggml.tokens", 8, &huge, "metadata key `tokenizer.ggml.tokens`");
    check_lie("tokenizer.ggml.tokens", 4, &9u32.to_le_bytes(), "unknown type 9");
    check_lie("tokenizer.ggml.token_type", 8, &huge, "metadata key `tokenizer.ggml.token_type`");
    check_lie("a.weight", 0, &9u32.to_le_bytes(), "9 dimensions");
    check_lie("b.weight", 4, &huge, "tensor `b.weight`");
    check_lie("b.weight", 4, &33u64.to_le_bytes(), "no whole Q4_1 blocks");
    check_lie("b.weight", 12, &1000u64.to_le_bytes(), "tensor `b.weight`");
    check_lie("b.weight", 20, &10u32.to_le_bytes(), "Q2_K");
    check_lie("b.weight", 20, &777u32.to_le_bytes(), "number 777");
    check_lie("b.weight", 24, &1u64.to_le_bytes(), "not aligned");
    check_lie("b.weight", 24, &(1u64 << 40).to_le_bytes(), "reaches to byte");
    check_lie("b.weight", 24, &(u64::MAX - 31).to_le_bytes(), "tensor `b.weight`");
}

#[test]
fn repeated_names_are_refused() {
    let mut writer = small();
    writer.tensor("a.weight", TensorType::F32, &[3], vec![1; 12]);
    let error = read(&writer.to_bytes()).unwrap_err().to_string();
    assert!(error.contains("`a.weight`") && error.contains("twice"), "{error}");
}

#[test]
fn the_default_model_is_read() {
    let mut source = FileSource::open(&default_model()).unwrap();
    let gguf = pollster::block_on(Gguf::read(&mut source)).unwrap();
    assert_eq!(gguf.metadata.usize("llama.block_count").unwrap(), 30);
    assert_eq!(gguf.metadata.strings("tokenizer.ggml.tokens").unwrap().len(), 49152);
    assert_eq!(gguf.tensors.len(), 272);
    let down = gguf.tensor("blk.29.ffn_down.weight").unwrap();
    assert_eq!((down.cols(), down.rows(), down.ty), (1536, 576, TensorType::Q4_1));
    let mut types: Vec<_> = gguf.tensors.iter().map(|tensor| tensor.ty.name()).collect();
    types.sort();
    types.dedup();
    println!("types: {types:?}");
}
