//! The readers on damaged files: a committed corpus of lies, every truncation, and thousands of seeded mutations.
//!
//! None may panic, and none may allocate by what a file claims: memory is bounded by a multiple of the file's own size
//! and a constant, measured by the binary's allocator. `fuzz/` has the same entries for cargo-fuzz.

use crate::common::Random;
use crate::tiny;
use apprentice::device::Device;
use apprentice::format::byte_level::byte_level_vocab;
use apprentice::format::gguf::Gguf;
use apprentice::format::gguf_value::{Numbers, Strings, Value};
use apprentice::format::gguf_writer::GgufWriter;
use apprentice::format::peft::{Part, PeftAdapter, PeftTensor};
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

/// The bound of all that a reader holds at once: a header's bytes while they are read, and what is made of them, which is at
/// most twice their bytes.
const FILE_TIMES: usize = 3;
/// Tables and caches of a fixed size.
const CONSTANT: usize = 1 << 20;
/// An adapter's configuration is read as JSON values, of which a map of one number takes 80 times its 8 bytes; it has 64 KiB
/// at most.
const ADAPTER_CONSTANT: usize = 6 << 20;

/// Mutations of each file of the corpus in a run: of the good ones, and of those that lie already.
const MUTATIONS: [u64; 2] = [2000, 100];

/// Bytes that a reader may hold at once: a multiple of the file and a constant. `memory_grows_with_the_file_alone` says what
/// takes it. No single allocation is larger than the file and the constant.
fn allowed(file: usize, constant: usize) -> Usage {
    Usage { peak: FILE_TIMES * file + constant, largest: file + constant }
}

/// Runs an entry; says what it did wrong.
fn check(entry: Entry, constant: usize, bytes: &[u8]) -> Result<(bool, Usage), String> {
    let (result, usage) = measure(|| catch_unwind(|| entry(bytes)));
    let accepted = result.map_err(|_| "it panicked".to_string())?;
    let allowed = allowed(bytes.len(), constant);
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
fn check_all(folder: &str, entry: Entry, constant: usize, files_min: usize) {
    let files = corpus(folder);
    assert!(files.len() >= files_min, "{} files in {folder}", files.len());
    let (mut wrong, mut runs, mut accepted, mut most) = (Vec::new(), 0, 0, Usage::default());
    let mut mutated = 0;
    let mut run = |what: String, bytes: &[u8]| {
        runs += 1;
        match check(entry, constant, bytes) {
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
    let entries: [(&str, Entry); 6] = [
        ("gguf", entries::gguf),
        ("tokenizer", entries::tokenizer),
        ("adapter", entries::adapter),
        ("gguf_adapter", entries::gguf_adapter),
        ("lessons", entries::lessons),
        ("markdown", entries::markdown),
    ];
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
    check_all("gguf", entries::gguf, CONSTANT, 12);
}

#[test]
fn tokenizers() {
    check_all("tokenizer", entries::tokenizer, CONSTANT, 20);
}

#[test]
fn adapters() {
    check_all("adapter", entries::adapter, ADAPTER_CONSTANT, 6);
}

#[test]
fn gguf_adapters() {
    check_all("gguf_adapter", entries::gguf_adapter, CONSTANT, 20);
}

#[test]
fn lessons() {
    check_all("lessons", entries::lessons, CONSTANT, 12);
}

#[test]
fn markdown() {
    check_all("markdown", entries::markdown, CONSTANT, 8);
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

/// A tokenizer's metadata of 256 bytes and `n` words of 2 or 3 letters, all of type `ty`, with a merge for each.
fn vocabulary(model: &str, n: usize, ty: i32) -> Vec<u8> {
    let letters = byte_level_vocab(&[]);
    let pairs = (0..n).map(|i| (&letters[i / 256 % 256], &letters[i % 256]));
    let words = pairs.clone().map(|(left, right)| format!("{left}{right}"));
    let tokens: Strings = letters.iter().cloned().chain(words).collect();
    let merges: Strings = pairs.map(|(left, right)| format!("{left} {right}")).collect();
    let mut writer = GgufWriter::new();
    writer
        .key("tokenizer.ggml.model", Value::String(model.into()))
        .key("tokenizer.ggml.pre", Value::String("smollm".into()))
        .key("tokenizer.ggml.eos_token_id", Value::U32(0))
        .key("tokenizer.ggml.token_type", Value::Numbers(Numbers::from_i32(&vec![ty; 256 + n])));
    if model == "llama" {
        let scores = vec![0.5; 256 + n];
        writer.key("tokenizer.ggml.scores", Value::Numbers(Numbers::from_f32(&scores)));
    } else {
        writer.key("tokenizer.ggml.merges", Value::Strings(merges));
    }
    writer.key("tokenizer.ggml.tokens", Value::Strings(tokens));
    writer.to_bytes()
}

/// A header of as many keys and tensors as there may be, each as short as can be.
fn crowded_header() -> Vec<u8> {
    let mut writer = GgufWriter::new();
    (0..4000).for_each(|i| _ = writer.key(&format!("{i}"), Value::Bool(true)));
    (0..16_000).for_each(|i| _ = writer.tensor(&format!("{i}"), TensorType::F32, &[1], vec![0; 4]));
    writer.to_bytes()
}

/// An adapter of as many tensors as there may be, each as small as can be, with a list of small maps in its configuration.
fn crowded_adapter() -> Vec<u8> {
    let (rank, alpha, base_model_name) = (1, 1.0, String::new());
    let parts = [(Part::A, [1, 1]), (Part::B, [1, 1])];
    let tensors = (0..1000).flat_map(|layer| {
        parts.map(|(part, shape)| {
            let module = "q_proj".to_string();
            PeftTensor { layer, module, part, shape, data: vec![0.5] }
        })
    });
    let tensors = tensors.collect();
    let adapter = PeftAdapter { rank, alpha, use_rslora: false, base_model_name, tensors };
    let (config, weights) = adapter.write();
    let maps = "{\"a\":1},".repeat(7500);
    let config =
        String::from_utf8(config).unwrap().replacen('{', &format!("{{\"list\":[{maps}1],"), 1);
    let length = (config.len() as u32).to_le_bytes();
    [length.as_slice(), config.as_bytes(), &weights].concat()
}

/// Honest files of many small parts: the most memory for a byte of file.
#[test]
fn memory_grows_with_the_file_alone() {
    let files: [(&str, Entry, Vec<u8>); 6] = [
        ("words and merges", entries::tokenizer, vocabulary("gpt2", 40_000, 1)),
        ("special tokens", entries::tokenizer, vocabulary("gpt2", 40_000, 3)),
        ("pieces", entries::tokenizer, vocabulary("llama", 40_000, 1)),
        ("keys and tensors", entries::gguf, crowded_header()),
        ("an adapter", entries::adapter, crowded_adapter()),
        ("one long text", entries::gguf, {
            let mut writer = GgufWriter::new();
            writer.key("text", Value::String("x".repeat(1 << 20)));
            writer.to_bytes()
        }),
    ];
    let mut wrong = Vec::new();
    for (what, entry, bytes) in files {
        let ((accepted, usage), n) = (measure(|| entry(&bytes)), bytes.len());
        println!("{what}: {n} bytes, {usage:?}, {:.2} times", usage.peak as f64 / n as f64);
        assert!(accepted && usage.peak > n, "{what}: it was read as a whole");
        let constant = if what == "an adapter" { ADAPTER_CONSTANT } else { CONSTANT };
        if let Err(fault) = check(entry, constant, &bytes) {
            wrong.push(format!("{what}: {fault}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The measure must see what it is there for.
#[test]
fn planted_faults_are_seen() {
    let claims = |bytes: &[u8]| Vec::<u8>::with_capacity(1 << bytes[0]).capacity() > 0;
    assert!(check(claims, CONSTANT, &[10]).is_ok());
    assert!(check(claims, CONSTANT, &[28]).unwrap_err().contains("for a file of 1 bytes"));
    let many =
        |bytes: &[u8]| (0..bytes[0]).map(|_| vec![0u8; 1 << 18]).collect::<Vec<_>>().len() > 1;
    assert!(check(many, CONSTANT, &[3]).is_ok());
    assert!(check(many, CONSTANT, &[40]).is_err(), "small pieces, held at once");
    assert!(check(|bytes: &[u8]| bytes[7] == 0, CONSTANT, &[1]).unwrap_err().contains("panicked"));
}
