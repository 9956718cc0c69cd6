//! The planner's bytes against what the device counts: loading, a training step, what does not fit.
//!
//! The tiny models of every family on both devices, the real one on the CPU device, and an 8B model from its shapes alone.

use crate::common::default_model;
use crate::tiny;
use apprentice::cli::synth::{random_model, shapes};
use apprentice::device::{Device, Limits};
use apprentice::format::error::FormatError;
use apprentice::format::gguf::Gguf;
use apprentice::format::source::{FileSource, Source};
use apprentice::model::generate::Cancel;
use apprentice::model::lora::{LoraLayout, Method};
use apprentice::model::sampler::Sampling;
use apprentice::model::{CONTEXT, Model};
use apprentice::quant::TensorType;
use apprentice::train::planner::Run;
use apprentice::train::{Form, Goal, Guards, MemoryPlan, Sequence, Surgery, Trainer};
use async_trait::async_trait;
use pollster::block_on;
use std::path::{Path, PathBuf};

/// How far a prediction may be off.
const SHARE: f64 = 0.05;

fn planned(device: &Device, file: &Path, run: Option<Run>) -> MemoryPlan {
    let mut source = FileSource::open(file).unwrap();
    let gguf = block_on(Gguf::read(&mut source)).unwrap();
    block_on(MemoryPlan::new(device.limits(), &gguf, CONTEXT, run)).unwrap()
}

fn load(device: &Device, file: &Path) -> Model {
    let mut source = FileSource::open(file).unwrap();
    block_on(Model::load(device, &mut source, &mut |_, _, _| {})).unwrap()
}

fn near(predicted: u64, counted: u64) -> bool {
    (predicted as f64 - counted as f64).abs() <= SHARE * counted as f64
}

#[track_caller]
fn check(place: &str, predicted: u64, counted: u64) {
    println!("{place}: {predicted} B predicted, {counted} B counted");
    assert!(near(predicted, counted), "{place}: {predicted} B predicted, {counted} B counted");
}

/// Puts an adapter in place and answers with it, so that the copy that answers read is there.
fn adapt(model: &mut Model, layout: &LoraLayout) {
    let mut adapter = layout.fresh(8.0, 1);
    if layout.method == Method::Dora {
        adapter.weights.fill(0.1);
    }
    model.set_adapter(Some(&adapter)).unwrap();
    let (greedy, cancel) = (Sampling::default(), Cancel::default());
    block_on(model.generate(&[40, 47], 2, &greedy, &cancel, &mut |_| true)).unwrap();
}

/// A training step with passes of `run.tokens` rows.
fn step(model: &mut Model, run: Run) {
    let layout = LoraLayout::new(&model.config, run.method, run.rank);
    adapt(model, &layout);
    let mut trainer = Trainer::new(model, &layout, run.tokens).unwrap();
    let tokens: Vec<u32> = (0..run.tokens as u32).map(|i| 40 + 7 * i % 150).collect();
    let counted = vec![true; tokens.len()];
    let sequence = Sequence { tokens, counted, goal: Goal::Tokens, weight: 1.0 };
    trainer.zero_grad().unwrap();
    block_on(trainer.accumulate(model, &[sequence])).unwrap();
    block_on(trainer.step(model, 1e-3, 1.0)).unwrap();
}

/// Bytes of a plan's kept activations.
fn kept(plan: &MemoryPlan) -> u64 {
    plan.training.iter().find(|item| item.what == "activations kept").unwrap().bytes
}

fn family(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/arch").join(name).join("model.gguf")
}

#[test]
fn tiny_models_of_every_family_take_what_was_planned() {
    for name in ["llama3", "qwen2", "qwen3"] {
        for device in tiny::devices() {
            let place = format!("{name} on the {}", device.kind());
            let run = Run { rank: 4, tokens: 24, ..Run::default() };
            let plan = planned(&device, &family(name), Some(run));
            let mut model = load(&device, &family(name));
            check(&format!("{place}, loaded"), plan.answering_bytes, device.stats().bytes_peak);
            step(&mut model, run);
            check(&format!("{place}, trained"), plan.bytes, device.stats().bytes_peak);
            // The check sees another rank, and a model that is loaded twice.
            let other = planned(&device, &family(name), Some(Run { rank: 16, ..run }));
            assert!(!near(other.bytes, device.stats().bytes_peak), "{place}: blind to the rank");
            let _again = load(&device, &family(name));
            assert!(!near(plan.bytes, device.stats().bytes_peak), "{place}: blind to a copy");
        }
    }
}

/// To the byte: DoRA's norms and what is multiplied backward are some hundredths of a run.
#[test]
fn every_method_takes_what_was_planned() {
    let file = family("qwen2");
    let bytes = Method::ALL.map(|method| {
        let device = Device::cpu();
        let run = Run { method, rank: 4, tokens: 24, ..Run::default() };
        let plan = planned(&device, &file, Some(run));
        step(&mut load(&device, &file), run);
        assert_eq!(plan.bytes, device.stats().bytes_peak, "{method}");
        plan.bytes
    });
    let [lora, rslora, dora, ia3] = bytes;
    assert!(lora == rslora && ia3 < lora && lora < dora, "{bytes:?}");
}

#[test]
fn what_protects_is_counted_where_it_is_on() {
    let off = Run { rank: 4, tokens: 24, ..Run::default() };
    let device = Device::cpu();
    let without = planned(&device, &family("llama3"), Some(off)).bytes;
    for (surgery, ewc) in [
        (Surgery::Layers, None),
        (Surgery::Off, Some(Form::Diagonal)),
        (Surgery::Global, Some(Form::Function)),
    ] {
        let device = Device::cpu();
        let run = Run { guards: Guards { surgery, ewc }, ..off };
        let plan = planned(&device, &family("llama3"), Some(run));
        let mut model = load(&device, &family("llama3"));
        let layout = LoraLayout::new(&model.config, run.method, run.rank);
        adapt(&mut model, &layout);
        let _trainer = Trainer::guarded(&model, &layout, run.tokens, run.guards).unwrap();
        assert_eq!(plan.bytes, device.stats().bytes_peak, "{surgery:?} {ewc:?}");
        // A second gradient; F and an anchor; an anchor and some moments.
        let flats = 4 * layout.len as u64;
        let more = plan.bytes - without;
        assert!(more > flats && more < 3 * flats, "{surgery:?} {ewc:?}: {more} beside {flats}");
    }
}

#[test]
fn the_real_model_takes_what_was_planned() {
    let file = default_model();
    for (tokens, kept_layers) in [(128, 30), (512, 30), (512, 12), (128, 0)] {
        let device = Device::cpu();
        let run = Run { rank: 8, tokens, ..Run::default() };
        let mut plan = planned(&device, &file, Some(run));
        assert_eq!(plan.kept_layers, 30);
        let mut model = load(&device, &file);
        let place = format!("{tokens} tokens, activations kept of {kept_layers} layers");
        check(&format!("{place}, loaded"), plan.answering_bytes, device.stats().bytes_peak);
        if kept_layers < 30 {
            // A limit alone makes planner and trainer compute other layers' activations again; one layer has memory anyway.
            let limit = plan.bytes - kept(&plan) / 29 * (29 - kept_layers);
            device.limit_memory(limit);
            plan = planned(&device, &file, Some(run));
            assert_eq!((plan.kept_layers as u64, plan.bytes), (kept_layers, limit), "{place}");
        }
        step(&mut model, run);
        check(&format!("{place}, trained"), plan.bytes, device.stats().bytes_peak);
    }
}

/// The first bytes of a file that is not there.
struct HeaderSource {
    header: Vec<u8>,
    bytes: u64,
}

#[async_trait(?Send)]
impl Source for HeaderSource {
    fn len(&self) -> u64 {
        self.bytes
    }

    fn name(&self) -> String {
        "header".into()
    }

    async fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), FormatError> {
        for (i, byte) in buf.iter_mut().enumerate() {
            *byte = self.header.get(offset as usize + i).copied().unwrap_or(0);
        }
        Ok(())
    }
}

/// On any WebGPU adapter: bindings of 128 MiB, buffers of 256 MiB.
#[test]
fn eight_billion_parameters_train_at_rank_16_in_under_8_gb() {
    let shape = shapes::find("llama-8b").unwrap();
    let (header, bytes) = random_model::header(&shape, TensorType::Q4K);
    let gguf = block_on(Gguf::read(&mut HeaderSource { header, bytes })).unwrap();
    let plan = |rank, tokens| {
        let run = Some(Run { rank, tokens, ..Run::default() });
        block_on(MemoryPlan::new(Limits::webgpu(), &gguf, CONTEXT, run)).unwrap()
    };
    let planned = plan(16, 512);
    println!("{:.3} GB: {:#?}", planned.bytes as f64 / 1e9, planned);
    // The weights alone are 4.5 GB; the rest is what FACTS.md 3.2 sums up, and the conversation's keys.
    assert!(planned.answering[1].what == "weights" && planned.answering[1].bytes > 4_400_000_000);
    assert!(planned.bytes + planned.loader_bytes < 8_000_000_000, "{} B", planned.bytes);
    let items = planned.answering.iter().chain(&planned.training);
    assert_eq!(items.map(|item| item.bytes).sum::<u64>(), planned.bytes);
    assert!(plan(16, 128).bytes < planned.bytes && plan(8, 512).bytes < planned.bytes);
    // A gradient in one piece is larger than any buffer of such an adapter.
    let run = Some(Run { rank: 32, tokens: 512, ..Run::default() });
    let refused = block_on(MemoryPlan::new(Limits::webgpu(), &gguf, CONTEXT, run)).unwrap_err();
    assert!(refused.to_string().contains("lower the context, the rank"), "{refused}");
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_allocated() {
    let file = family("llama3");
    let device = Device::cpu();
    let run = Run { rank: 4, tokens: 24, ..Run::default() };
    let plan = planned(&device, &file, Some(run));
    device.limit_memory(plan.answering_bytes - 1);
    let mut source = FileSource::open(&file).unwrap();
    let loaded = block_on(Model::load(&device, &mut source, &mut |_, _, _| {}));
    let error = loaded.err().expect("refused").to_string();
    assert!(error.starts_with("loading the model needs") && error.contains("context"), "{error}");
    assert!(!error.contains('\n'));
    assert_eq!(device.stats().bytes_peak, 0);
    assert!(planned(&device, &file, Some(run)).check().is_err());
    // What fits to the byte is let in, and training is refused by the same sum.
    device.limit_memory(plan.answering_bytes);
    let mut model = load(&device, &file);
    let layout = LoraLayout::new(&model.config, run.method, run.rank);
    device.limit_memory(plan.bytes);
    adapt(&mut model, &layout);
    let before = device.stats().bytes;
    let kept = kept(&plan);
    device.limit_memory(plan.bytes - kept - 1);
    let error = Trainer::new(&model, &layout, run.tokens).err().expect("refused").to_string();
    assert!(error.starts_with("training needs") && error.contains("lower the rank"), "{error}");
    assert_eq!((device.stats().bytes, device.stats().bytes_peak), (before, before));
    device.limit_memory(plan.bytes - kept);
    step(&mut model, run);
    assert_eq!(device.stats().bytes_peak, plan.bytes - kept);
}

#[test]
fn another_adapter_takes_the_place_of_the_old_one() {
    let device = Device::cpu();
    let mut model = tiny::model(&device, TensorType::Q8_0, 1);
    let loaded = device.stats().bytes;
    let mut adapter = |rank| {
        let layout = LoraLayout::new(&model.config, Method::Lora, rank);
        model.set_adapter(Some(&layout.fresh(8.0, rank as u64))).unwrap();
        (device.stats().bytes - loaded, device.stats().bytes_peak - loaded, 4 * layout.len as u64)
    };
    for (rank, largest) in [(4, 4), (4, 4), (8, 8), (2, 8)] {
        let (now, most, bytes) = adapter(rank);
        assert_eq!(now, bytes, "rank {rank}");
        assert_eq!(most, adapter(largest).2, "rank {rank}: never two");
    }
}
