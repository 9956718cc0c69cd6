//! `apprentice quantize`: which tensor gets which type, that the logits stay close, and that no file is lost.
//!
//! The model is the tests' small one with random weights, whose widths of 128 and 256 make K-quants fall back in some
//! matrices only. Invariant: everything is compared with the model before it was quantized.

use apprentice::cli::quantize::{Summary, quantize_file};
use apprentice::cli::synth::{self, blank, bpe};
use apprentice::device::Device;
use apprentice::error::Error;
use apprentice::format::gguf::Gguf;
use apprentice::format::source::{FileSource, Source};
use apprentice::model::Model;
use apprentice::model::pass::{Target, causal_rows};
use apprentice::quant::TensorType;
use pollster::block_on;
use std::fs;
use std::path::{Path, PathBuf};

const IDS: [u32; 8] = [84, 104, 101, 32, 111, 119, 108, 46];

/// The small model with random weights in F32, its embedding in Q8_0.
fn write_model(folder: &Path) -> PathBuf {
    let vocabulary = bpe::train(["the owl, the owl"].into_iter(), 8, 2);
    let config = synth::config(blank::tokens(&vocabulary));
    let bytes = blank::Blank::new(config, 7).to_gguf(&vocabulary, TensorType::F32);
    let path = folder.join("small.gguf");
    fs::write(&path, bytes).unwrap();
    path
}

fn quantized(from: &Path, ty: TensorType, pure: bool) -> Result<(PathBuf, Summary), Error> {
    let to = from.with_file_name(format!("{}-{pure}.gguf", ty.name()));
    let summary = block_on(quantize_file(from, &to, ty, pure, &mut |_, _| {}))?;
    Ok((to, summary))
}

fn read(path: &Path) -> Gguf {
    block_on(Gguf::read(&mut FileSource::open(path).unwrap())).unwrap()
}

fn logits(path: &Path) -> Vec<f32> {
    let mut source = FileSource::open(path).unwrap();
    let mut model =
        block_on(Model::load(&Device::cpu(), &mut source, &mut |_, _, _| {})).expect("a model");
    let targets: Vec<Target> = (0..IDS.len()).map(|i| Target { row: i as u32, label: 0 }).collect();
    block_on(model.logits_of(&causal_rows(&IDS, 0), &targets)).expect("a pass")
}

/// Root of the summed squares of the differences over those of `theirs`.
fn relative(ours: &[f32], theirs: &[f32]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let squares = |x: f32| f64::from(x) * f64::from(x);
    let error: f64 = ours.iter().zip(theirs).map(|(a, b)| squares(a - b)).sum();
    (error / theirs.iter().map(|x| squares(*x)).sum::<f64>()).sqrt()
}

#[test]
fn every_type_keeps_the_logits_close() {
    let folder = tempfile::tempdir().unwrap();
    let model = write_model(folder.path());
    let before = logits(&model);
    // About twice what was measured, so that a wrong scale or order cannot pass.
    for (ty, limit) in [
        (TensorType::F16, 0.002),
        (TensorType::BF16, 0.01),
        (TensorType::Q8_0, 0.02),
        (TensorType::Q6K, 0.05),
        (TensorType::Q5K, 0.17),
        (TensorType::Q5_1, 0.17),
        (TensorType::Q5_0, 0.2),
        (TensorType::Q4K, 0.2),
        (TensorType::Q4_1, 0.4),
        (TensorType::Q4_0, 0.4),
    ] {
        let (path, summary) = quantized(&model, ty, false).unwrap();
        let off = relative(&logits(&path), &before);
        println!("{}: logits {off:.5}, weights {:.5}", ty.name(), summary.rms_error);
        assert!(off < limit, "{}: logits are {off} off", ty.name());
        assert!(summary.rms_error < limit, "{}: {}", ty.name(), summary.rms_error);
        assert_eq!(summary.bytes_after, fs::metadata(&path).unwrap().len());
        assert!(summary.bytes_after < summary.bytes_before, "{}", ty.name());
    }
}

#[test]
fn the_mix_is_the_documented_one() {
    let folder = tempfile::tempdir().unwrap();
    let model = write_model(folder.path());
    let (path, summary) = quantized(&model, TensorType::Q4K, false).unwrap();
    let gguf = read(&path);
    let ty = |name: &str| gguf.tensor(name).unwrap().ty;
    // 128 columns are no whole K-quant block.
    assert_eq!(ty("token_embd.weight"), TensorType::Q8_0, "the head, from Q6_K");
    assert_eq!(ty("blk.0.attn_q.weight"), TensorType::Q5_0, "from Q4_K");
    assert_eq!(ty("blk.0.attn_v.weight"), TensorType::Q5_0);
    assert_eq!(ty("blk.1.attn_v.weight"), TensorType::Q8_0, "a raised layer's, from Q6_K");
    assert_eq!(ty("blk.0.ffn_down.weight"), TensorType::Q4K);
    assert_eq!(ty("blk.1.ffn_down.weight"), TensorType::Q6K);
    assert_eq!(ty("blk.1.ffn_norm.weight"), TensorType::F32);
    assert_eq!(gguf.metadata.usize("general.file_type").unwrap(), 15);
    assert_eq!(summary.types["F32"].converted, 0);
    assert_eq!(summary.types["Q8_0"].tensors, 2);
    assert_eq!(summary.types.values().map(|of| of.tensors).sum::<usize>(), gguf.tensors.len());
    let (path, _) = quantized(&model, TensorType::Q4K, true).unwrap();
    let gguf = read(&path);
    let down = |layer| gguf.tensor(&format!("blk.{layer}.ffn_down.weight")).unwrap().ty;
    assert_eq!([down(0), down(1)], [TensorType::Q4K; 2], "pure");
    assert_eq!(gguf.tensor("token_embd.weight").unwrap().ty, TensorType::Q5_0, "pure");
}

#[test]
fn what_has_the_type_already_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let model = write_model(folder.path());
    let (once, _) = quantized(&model, TensorType::Q8_0, false).unwrap();
    let twice = folder.path().join("twice.gguf");
    let summary = block_on(quantize_file(&once, &twice, TensorType::Q8_0, false, &mut |_, _| {}));
    assert_eq!(summary.unwrap().types["Q8_0"].converted, 0);
    assert_eq!(fs::read(&once).unwrap(), fs::read(&twice).unwrap());
    let data = |path: &Path| {
        let info = read(path).tensor("token_embd.weight").unwrap().clone();
        let mut bytes = vec![0; info.bytes as usize];
        block_on(FileSource::open(path).unwrap().read_at(info.offset, &mut bytes)).unwrap();
        bytes
    };
    assert_eq!(data(&model), data(&once), "the embedding was in Q8_0 before");
}

#[test]
fn no_file_is_overwritten_and_none_is_left_half() {
    let folder = tempfile::tempdir().unwrap();
    let model = write_model(folder.path());
    let to = folder.path().join("there.gguf");
    fs::write(&to, "mine").unwrap();
    let run = |from: &Path, to: &Path| {
        block_on(quantize_file(from, to, TensorType::Q8_0, false, &mut |_, _| {}))
    };
    let error = run(&model, &to).unwrap_err();
    assert!(matches!(error, Error::Misuse(_)), "{error}");
    assert!(error.to_string().contains("there.gguf exists"), "{error}");
    assert_eq!(fs::read(&to).unwrap(), b"mine");
    assert!(run(&model, &model).is_err(), "onto itself");
    // A file that ends within its last tensor is refused before anything is written.
    let bytes = fs::read(&model).unwrap();
    let cut = folder.path().join("cut.gguf");
    fs::write(&cut, &bytes[..bytes.len() - 8]).unwrap();
    assert!(run(&cut, &folder.path().join("new.gguf")).is_err());
    // Another run's part is not taken over.
    fs::write(folder.path().join("other.gguf.part"), "theirs").unwrap();
    assert!(run(&model, &folder.path().join("other.gguf")).is_err());
    assert_eq!(fs::read(folder.path().join("other.gguf.part")).unwrap(), b"theirs");
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["cut.gguf", "other.gguf.part", "small.gguf", "there.gguf"]);
}
