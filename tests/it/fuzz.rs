//! The readers on damaged files: a committed corpus of lies, every truncation, and thousands of seeded mutations.
//!
//! None may panic, and none may allocate by what a file claims: memory is bounded by a multiple of the file's own size
//! and a constant, measured by the binary's allocator. `fuzz/` has the same entries for cargo-fuzz.

use crate::common::Random;
use crate::tiny;
use apprentice::device::Device;
use apprentice::format::byte_level::byte_level_vocab;
use apprentice::format::gguf::Gguf;
use apprentice::format::gguf_value::{Numbers, Value};
use apprentice::format::gguf_writer::GgufWriter;
use apprentice::format::source::BytesSource;
use apprentice::model::Model;
use apprentice::quant::TensorType;
use entries::Entry;
use meter::{Usage, measure};
use mutate::mutate;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

mod entries;
mod meter;
mod mutate;

/// Mutations of each file of the corpus in a run: of the good ones, and of those that lie already.
const MUTATIONS: [u64; 2] = [2000, 100];

/// Bytes that a reader may hold at once. Each small text of a file costs some dozens of bytes in the tables that it is
/// looked up in; the constant is the tokenizer's empty cache.
fn allowed(file: usize) -> Usage {
    Usage { peak: 12 * file + (2 << 20), largest: 4 * file + (1 << 20) }
}

/// Runs an entry; says what it did wrong.
fn check(entry: Entry, bytes: &[u8]) -> Result<(bool, Usage), String> {
    let (result, usage) = measure(|| catch_unwind(|| entry(bytes)));
    let accepted = result.map_err(|_| "it panicked".to_string())?;
    let allowed = allowed(bytes.len());
    if usage.peak > allowed.peak || usage.largest > allowed.largest {
        return Err(format!("{usage:?} for a file of {} bytes, allowed {allowed:?}", bytes.len()));
    }
    Ok((accepted, usage))
}

/// The corpus of an entry: names and bytes, in order.
fn corpus(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(folder);
    let entries = fs::read_dir(&folder).expect("the corpus is committed");
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
}

/// Every file of the corpus as it is, cut at many places, and mutated.
fn check_all(folder: &str, entry: Entry, files_min: usize) {
    let files = corpus(folder);
    assert!(files.len() >= files_min, "{} files in {folder}", files.len());
    let (mut wrong, mut runs, mut accepted, mut most) = (Vec::new(), 0, 0, Usage::default());
    let mut mutated = 0;
    let mut run = |what: String, bytes: &[u8]| {
        runs += 1;
        match check(entry, bytes) {
            Ok((good, usage)) => {
                accepted += usize::from(good);
                most.peak = most.peak.max(usage.peak);
                most.largest = most.largest.max(usage.largest);
            }
            Err(fault) => wrong.push(format!("{what}: {fault}")),
        }
    };
    for (name, bytes) in &files {
        run(name.clone(), bytes);
        for cut in (0..bytes.len()).step_by(1 + bytes.len() / 300) {
            run(format!("{name} cut at {cut}"), &bytes[..cut]);
        }
        let first = Random(name.bytes().map(u64::from).sum()).bits();
        let good = name.starts_with("good");
        let mutations = if good { MUTATIONS[0] } else { MUTATIONS[1] };
        mutated += if good { mutations } else { 0 };
        for seed in (0..mutations).map(|i| first.wrapping_add(i)) {
            run(format!("{name} with seed {seed}"), &mutate(bytes, seed));
        }
    }
    println!("{folder}: {runs} files, {accepted} accepted, {most:?}");
    assert!(wrong.is_empty(), "{} of {runs}:\n{}", wrong.len(), wrong.join("\n"));
    // A reader that refuses everything would pass as well.
    assert!(
        accepted as u64 > mutated / 40,
        "{accepted} accepted, {mutated} mutations of good files"
    );
}

/// Files whose name begins with `good` must be read, all others refused.
#[test]
fn the_corpus_is_judged_as_its_names_say() {
    let entries: [(&str, Entry); 3] =
        [("gguf", entries::gguf), ("tokenizer", entries::tokenizer), ("adapter", entries::adapter)];
    for (folder, entry) in entries {
        let files = corpus(folder);
        assert!(files.iter().any(|(name, _)| name.starts_with("good")), "{folder}");
        for (name, bytes) in files {
            assert_eq!(entry(&bytes), name.starts_with("good"), "{folder}/{name}");
        }
    }
}

#[test]
fn gguf_headers() {
    check_all("gguf", entries::gguf, 12);
}

#[test]
fn tokenizers() {
    check_all("tokenizer", entries::tokenizer, 20);
}

#[test]
fn adapters() {
    check_all("adapter", entries::adapter, 6);
}

/// A whole model, damaged in its header, goes up to the device or is refused.
#[test]
fn models_with_a_damaged_header() {
    let bytes = tiny::file(TensorType::Q4_0, 1);
    let whole = pollster::block_on(Gguf::read(&mut BytesSource::new("tiny.gguf", bytes.clone())));
    let data_at = whole.unwrap().tensors.iter().map(|tensor| tensor.offset).min().unwrap() as usize;
    let load = |bytes: Vec<u8>| {
        let mut source = BytesSource::new("tiny.gguf", bytes);
        pollster::block_on(Model::load(&Device::cpu(), &mut source, &mut |_, _, _| {})).is_ok()
    };
    assert!(load(bytes.clone()), "undamaged");
    let mut loaded = 0;
    for seed in 0..300 {
        // Only the header is damaged: any bytes are weights.
        let mut damaged = mutate(&bytes[..data_at], seed);
        damaged.extend(&bytes[data_at..]);
        loaded += usize::from(load(damaged));
    }
    println!("{loaded} of 300 damaged models were loaded");
    assert!(loaded < 300, "nothing was refused");
}

/// Honest files of many small parts: the most memory for a byte of file.
#[test]
fn memory_grows_with_the_file_alone() {
    let types: Vec<i32> = vec![1; 256 + 20_000];
    let words = (0..20_000).map(|i| format!("w{i}"));
    let tokens: Vec<String> = byte_level_vocab(&[]).into_iter().chain(words).collect();
    let mut writer = GgufWriter::new();
    writer
        .key("tokenizer.ggml.model", Value::String("gpt2".into()))
        .key("tokenizer.ggml.pre", Value::String("smollm".into()))
        .key("tokenizer.ggml.eos_token_id", Value::U32(0))
        .key("tokenizer.ggml.merges", Value::Strings(["a b"; 0].iter().collect()))
        .key("tokenizer.ggml.token_type", Value::Numbers(Numbers::from_i32(&types)))
        .key("tokenizer.ggml.tokens", Value::Strings(tokens.iter().collect()));
    let bytes = writer.to_bytes();
    let (_, usage) = check(entries::tokenizer, &bytes).unwrap();
    println!("a vocabulary of {} bytes: {usage:?}", bytes.len());
    let mut writer = GgufWriter::new();
    for i in 0..4000 {
        writer.key(&format!("k{i}"), Value::Bool(true));
        writer.tensor(&format!("t{i}"), TensorType::F32, &[1], vec![0; 4]);
    }
    let bytes = writer.to_bytes();
    let (accepted, usage) = check(entries::gguf, &bytes).unwrap();
    println!("a header of {} bytes: {usage:?}", bytes.len());
    assert!(accepted && usage.peak > bytes.len(), "it was read as a whole");
}

/// The measure must see what it is there for.
#[test]
fn planted_faults_are_seen() {
    let claims = |bytes: &[u8]| Vec::<u8>::with_capacity(1 << bytes[0]).capacity() > 0;
    assert!(check(claims, &[10]).is_ok());
    assert!(check(claims, &[28]).unwrap_err().contains("for a file of 1 bytes"));
    let many =
        |bytes: &[u8]| (0..bytes[0]).map(|_| vec![0u8; 1 << 18]).collect::<Vec<_>>().len() > 1;
    assert!(check(many, &[4]).is_ok());
    assert!(check(many, &[40]).is_err(), "small pieces, held at once");
    assert!(check(|bytes: &[u8]| bytes[7] == 0, &[1]).unwrap_err().contains("panicked"));
}
