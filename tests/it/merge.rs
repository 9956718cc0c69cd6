//! `apprentice merge`: merged says what unmerged says, the report's numbers are those of the bytes, and no file is lost.
//!
//! Invariant: what the report tells is computed anew here, from the two files.

use crate::common::Random;
use crate::tiny;
use apprentice::cli::merge::{Merged, Summary, merge_file};
use apprentice::device::Device;
use apprentice::error::Error;
use apprentice::format::gguf::Gguf;
use apprentice::format::source::{FileSource, Source};
use apprentice::model::Model;
use apprentice::model::adapter::Adapter;
use apprentice::model::config::Config;
use apprentice::model::lora::{LoraLayout, Method, Module};
use apprentice::model::pass::{Target, causal_rows};
use apprentice::quant::{TensorType, dequantize};
use pollster::block_on;
use std::fs;
use std::path::{Path, PathBuf};

const IDS: [u32; 8] = [84, 104, 101, 32, 111, 119, 108, 46];

fn load(path: &Path) -> Model {
    let mut source = FileSource::open(path).unwrap();
    block_on(Model::load(&Device::cpu(), &mut source, &mut |_, _, _| {})).expect("a model")
}

fn logits(model: &mut Model, adapter: Option<&Adapter>) -> Vec<f32> {
    model.set_adapter(adapter).unwrap();
    let targets: Vec<Target> = (0..IDS.len()).map(|i| Target { row: i as u32, label: 0 }).collect();
    block_on(model.logits_of(&causal_rows(&IDS, 0), &targets)).expect("a pass")
}

fn far(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn merged(
    from: &Path,
    name: &str,
    adapter: &Adapter,
    ty: Option<TensorType>,
) -> Result<(PathBuf, Summary), Error> {
    let to = from.with_file_name(name);
    let summary = block_on(merge_file(from, &to, adapter, ty, &mut |_, _| {}))?;
    Ok((to, summary))
}

fn write_tiny(folder: &Path, ty: TensorType) -> PathBuf {
    let path = folder.join(format!("{}.gguf", ty.name()));
    fs::write(&path, tiny::file(ty, 1)).unwrap();
    path
}

/// A tensor's values, and its bytes.
fn tensor(path: &Path, name: &str) -> (Vec<f32>, Vec<u8>) {
    let mut source = FileSource::open(path).unwrap();
    let gguf = block_on(Gguf::read(&mut source)).unwrap();
    let info = gguf.tensor(name).unwrap();
    let mut raw = vec![0; info.bytes as usize];
    block_on(source.read_at(info.offset, &mut raw)).unwrap();
    let mut values = vec![0.0; info.rows() * info.cols()];
    dequantize(info.ty, &raw, &mut values);
    (values, raw)
}

/// An adapter of any method that changes what a model says.
fn adapter(model: &Model, method: Method) -> Adapter {
    let layout = LoraLayout::new(&model.config, method, 4);
    let mut adapter = Adapter { alpha: 2.0, ..layout.fresh(2.0, 1) };
    let mut random = Random(5);
    for layer in 0..model.config.layers {
        for module in Module::ALL {
            let slot = layout.slot(layer, module);
            let near_one = method == Method::Ia3;
            let b = &mut adapter.weights[slot.b..][..layout.rank * slot.outputs];
            b.fill_with(|| 0.2 * random.float());
            let vector = &mut adapter.weights[slot.vector..][..slot.vector_len];
            vector.fill_with(|| {
                if near_one { 1.0 + 0.3 * random.float() } else { 1.5 + random.float() }
            });
        }
    }
    adapter
}

#[test]
fn merged_says_what_unmerged_says() {
    let folder = tempfile::tempdir().unwrap();
    let model = write_tiny(folder.path(), TensorType::F32);
    let mut unmerged = load(&model);
    for method in [Method::Lora, Method::RsLora] {
        let adapter = adapter(&unmerged, method);
        let (path, summary) = merged(&model, method.name(), &adapter, None).unwrap();
        let (wanted, base) = (logits(&mut unmerged, Some(&adapter)), logits(&mut unmerged, None));
        let off = far(&logits(&mut load(&path), None), &wanted);
        println!("{method}: {off:.1e} off, the adapter changes {}", far(&base, &wanted));
        assert!(off < 1e-5 && far(&base, &wanted) > 0.01, "{method}: {off}");
        assert_eq!(summary.tensors.len(), 14);
        assert!(summary.all.update_error < 1e-5 && summary.all.rms_error < 1e-6, "{summary:?}");
        assert!((summary.all.update_kept - 1.0).abs() < 1e-6);
    }
}

fn squares(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

/// The report of one matrix, from the files and s B A.
fn check(before: &Path, after: &Path, config: &Config, adapter: &Adapter, told: &Merged) {
    let (layer, module) = Module::of_weight(&told.name).unwrap();
    let slot = LoraLayout::of(config, adapter).slot(layer, module);
    let scale = f64::from(adapter.method.scale(adapter.alpha, adapter.rank));
    let value = |at: usize| f64::from(adapter.weights[at]);
    let rank = adapter.rank;
    let d = |i: usize| -> f64 {
        let (row, col) = (i / slot.inputs, i % slot.inputs);
        let terms = (0..rank)
            .map(|r| value(slot.b + row * rank + r) * value(slot.a + r * slot.inputs + col));
        scale * terms.sum::<f64>()
    };
    let [w, q] = [before, after].map(|path| tensor(path, &told.name).0);
    let n = 0..w.len();
    let [w, q] = [&w, &q].map(|values| move |i: usize| f64::from(values[i]));
    let change = squares(n.clone().map(d));
    let error = squares(n.clone().map(|i| q(i) - w(i) - d(i)));
    let wanted = [
        change / squares(n.clone().map(w)),
        error / squares(n.clone().map(|i| w(i) + d(i))),
        error / change,
        n.map(|i| (q(i) - w(i)) * d(i)).sum::<f64>() / (change * change),
    ];
    let told_all = [told.update, told.rms_error, told.update_error, told.update_kept];
    for (told_one, wanted) in told_all.into_iter().zip(wanted) {
        let off = (told_one - wanted).abs();
        assert!(off < 1e-4 * wanted.abs() + 1e-6, "{told:?}: {told_one} is not {wanted}");
    }
}

#[test]
fn the_report_is_of_the_bytes_written() {
    let folder = tempfile::tempdir().unwrap();
    let model = write_tiny(folder.path(), TensorType::Q4_0);
    let adapter = adapter(&load(&model), Method::Lora);
    let config = load(&model).config;
    let mut errors = Vec::new();
    for (name, ty) in
        [("own", None), ("q8", Some(TensorType::Q8_0)), ("f16", Some(TensorType::F16))]
    {
        let (path, summary) = merged(&model, name, &adapter, ty).unwrap();
        let wanted = ty.unwrap_or(TensorType::Q4_0).name();
        for told in &summary.tensors {
            assert_eq!(told.ty, wanted, "{}", told.name);
            check(&model, &path, &config, &adapter, told);
        }
        assert_eq!(summary.bytes_after, fs::metadata(&path).unwrap().len());
        assert_eq!(tensor(&model, "token_embd.weight"), tensor(&path, "token_embd.weight"));
        errors.push(summary.all.update_error);
        // The model loads and hears the change.
        let off = far(&logits(&mut load(&path), None), &logits(&mut load(&model), Some(&adapter)));
        println!("{name}: {:?}, logits {off:.4} off", summary.all);
    }
    assert!(errors[0] > 4.0 * errors[1] && errors[1] > 4.0 * errors[2], "{errors:?}");
}

/// An update far below the steps of a coarse type is lost, and the report says so; a fine type keeps it.
#[test]
fn a_lost_update_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let model = write_tiny(folder.path(), TensorType::Q4_0);
    let adapter = Adapter { alpha: 0.02, ..adapter(&load(&model), Method::Lora) };
    let (_, own) = merged(&model, "own", &adapter, None).unwrap();
    assert!(own.all.update_error > 0.5, "{:?}", own.all);
    let (_, fine) = merged(&model, "f32", &adapter, Some(TensorType::F32)).unwrap();
    assert!(fine.all.update_error < 0.01 && fine.all.update_kept > 0.99, "{:?}", fine.all);
}

/// What the adapter leaves as it is stays as it is, bit for bit.
#[test]
fn untouched_matrices_are_copied() {
    let folder = tempfile::tempdir().unwrap();
    let model = write_tiny(folder.path(), TensorType::Q4_0);
    let loaded = load(&model);
    let mut adapter = adapter(&loaded, Method::Lora);
    let layout = LoraLayout::of(&loaded.config, &adapter);
    let slot = layout.slot(1, Module::Up);
    adapter.weights[slot.b..][..slot.outputs * adapter.rank].fill(0.0);
    let (path, summary) = merged(&model, "own", &adapter, Some(TensorType::Q8_0)).unwrap();
    assert_eq!(summary.tensors.len(), 13);
    let name = Module::Up.weight_name(1);
    assert_eq!(tensor(&model, &name), tensor(&path, &name));
    assert_ne!(
        tensor(&model, &Module::Up.weight_name(0)).1,
        tensor(&path, &Module::Up.weight_name(0)).1
    );
}

#[test]
fn no_file_is_overwritten_and_none_is_left_half() {
    let folder = tempfile::tempdir().unwrap();
    let model = write_tiny(folder.path(), TensorType::F32);
    let good = adapter(&load(&model), Method::Lora);
    let there = folder.path().join("there");
    fs::write(&there, "mine").unwrap();
    let error = merged(&model, "there", &good, None).unwrap_err().to_string();
    assert!(error.contains("there exists"), "{error}");
    assert_eq!(fs::read(&there).unwrap(), b"mine");
    assert!(merged(&model, "F32.gguf", &good, None).is_err(), "onto itself");
    let foreign = Adapter { weights: vec![0.0; 64], ..good };
    assert!(
        merged(&model, "new", &foreign, None).unwrap_err().to_string().contains("another model")
    );
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["F32.gguf", "there"]);
}
