//! Tiny random models of every family against PyTorch, on both devices: logits, losses, LoRA gradients, an answer token by
//! token.
//!
//! `tests/arch/make.py` made the models (with llama.cpp's own writer of GGUF) and the numbers (float64, transformers and
//! PEFT). It knows nothing of how a family differs: what is checked is what a user gets. The limits are those of the golden
//! tests.

use super::{Tensors, relative};
use apprentice::device::{Device, DeviceChoice};
use apprentice::format::gguf::Gguf;
use apprentice::format::gguf_value::Value;
use apprentice::format::peft::{Part, PeftAdapter};
use apprentice::format::source::{BytesSource, FileSource};
use apprentice::model::adapter::Adapter;
use apprentice::model::config::Config;
use apprentice::model::generate::{Cancel, Progress};
use apprentice::model::lora::LoraLayout;
use apprentice::model::pass::{Target, causal_rows};
use apprentice::model::peft::{from_peft, to_peft};
use apprentice::model::sampler::Sampling;
use apprentice::model::{Model, ModelError};
use apprentice::train::{Goal, Sequence, Trainer};
use pollster::block_on;
use std::path::PathBuf;

const FAMILIES: [&str; 3] = ["llama3", "qwen2", "qwen3"];
const SEQUENCES: [&str; 2] = ["short", "long"];

fn folder(family: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/arch").join(family)
}

fn devices() -> [Device; 2] {
    let gpu = block_on(Device::open(DeviceChoice::Gpu)).expect("a GPU adapter (lavapipe will do)");
    [Device::cpu(), gpu]
}

fn load(device: &Device, family: &str) -> Model {
    let mut source = FileSource::open(&folder(family).join("model.gguf")).expect("the model");
    block_on(Model::load(device, &mut source, &mut |_, _, _| {})).expect("the model loads")
}

fn reference(family: &str) -> Tensors {
    Tensors::parse(&std::fs::read(folder(family).join("reference.safetensors")).expect("numbers"))
}

fn adapter(family: &str) -> PeftAdapter {
    let read = |name: &str| std::fs::read(folder(family).join(name)).expect("the adapter");
    PeftAdapter::read(&read("adapter_config.json"), &read("adapter_model.safetensors"))
        .expect("PEFT's own files are read")
}

fn ids(reference: &Tensors, name: &str) -> Vec<u32> {
    reference.get(name).data.iter().map(|id| *id as u32).collect()
}

fn logits(model: &mut Model, ids: &[u32]) -> Vec<f32> {
    let targets: Vec<Target> = (0..ids.len()).map(|i| Target { row: i as u32, label: 0 }).collect();
    block_on(model.logits_of(&causal_rows(ids, 0), &targets)).expect("a pass")
}

/// Every logit within the share `limit` of the largest magnitude.
#[track_caller]
fn check_logits(place: &str, ours: &[f32], theirs: &[f32], limit: f32) {
    assert_eq!(ours.len(), theirs.len(), "{place}");
    let largest = theirs.iter().fold(0.0f32, |a, b| a.max(b.abs()));
    let worst = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // `max` passes over NaN; the sum does not.
    assert!(ours.iter().sum::<f32>().is_finite(), "{place}: logits that are no numbers");
    assert!(worst <= limit * largest, "{place}: a logit is off by {worst} of {largest}");
    println!("{place}: worst logit off by {:.1e} of the largest", worst / largest);
}

#[test]
fn logits_are_pytorchs_with_and_without_an_adapter() {
    for device in devices() {
        let limit = if device.is_cpu() { 2e-3 } else { 5e-3 };
        for family in FAMILIES {
            let mut model = load(&device, family);
            let reference = reference(family);
            let adapter = from_peft(&model.config, &adapter(family)).expect("the adapter fits");
            for (adapter, kind) in [(None, "logits"), (Some(&adapter), "adapted")] {
                model.set_adapter(adapter).expect("the adapter fits");
                for sequence in SEQUENCES {
                    let ours = logits(&mut model, &ids(&reference, &format!("{sequence}.ids")));
                    let theirs = &reference.get(&format!("{sequence}.{kind}")).data;
                    let place = format!("{family} {sequence} {kind} on the {}", device.kind());
                    check_logits(&place, &ours, theirs, limit);
                }
            }
        }
    }
}

/// Loss, and the gradient in Hugging Face's layout.
fn gradient(model: &Model, adapter: &Adapter, ids: &[u32]) -> (f32, PeftAdapter) {
    let layout = LoraLayout::of(&model.config, adapter);
    let trainer = Trainer::new(model, &layout, ids.len()).expect("memory to train");
    let counted = vec![true; ids.len()];
    let sequence = Sequence { tokens: ids.to_vec(), counted, goal: Goal::Tokens, weight: 1.0 };
    let loss = block_on(trainer.accumulate(model, &[sequence])).expect("a backward pass");
    let weights = block_on(trainer.gradient()).expect("the gradient");
    let flat = Adapter { weights, ..*adapter };
    (loss.tokens, to_peft(&model.config, &flat))
}

#[test]
fn losses_and_gradients_are_pytorchs() {
    for device in devices() {
        let (loss_limit, limit) = if device.is_cpu() { (1e-4, 1e-3) } else { (1e-3, 5e-3) };
        for (family, sequence) in FAMILIES.iter().flat_map(|f| SEQUENCES.map(|s| (*f, s))) {
            let mut model = load(&device, family);
            let reference = reference(family);
            let adapter = from_peft(&model.config, &adapter(family)).expect("the adapter fits");
            model.set_adapter(Some(&adapter)).expect("the adapter fits");
            let ids = ids(&reference, &format!("{sequence}.ids"));
            let (loss, ours) = gradient(&model, &adapter, &ids);
            let theirs = reference.get(&format!("{sequence}.loss")).data[0];
            let place = format!("{family} {sequence} on the {}", device.kind());
            let off = (loss - theirs).abs() / theirs;
            assert!(off <= loss_limit, "{place}: loss {loss}, not {theirs}");
            // Two layers of seven pairs.
            assert_eq!(ours.tensors.len(), 28);
            let mut worst = 0.0f64;
            for tensor in &ours.tensors {
                let part = if tensor.part == Part::A { "A" } else { "B" };
                let name = format!("{sequence}.layers.{}.{}.{part}", tensor.layer, tensor.module);
                let off = relative(&tensor.data, &reference.get(&name).data);
                assert!(off <= limit, "{place}: {name} is off by {off}");
                worst = worst.max(off);
            }
            println!("{place}: loss off by {off:.1e}, worst gradient by {worst:.1e}");
        }
    }
}

/// Through the cache: a prompt in one pass, then token by token, each at its own row and position. Each of PyTorch's choices
/// is ahead by 0.1.
#[test]
fn answers_token_by_token_are_pytorchs() {
    for device in devices() {
        for family in FAMILIES {
            let mut model = load(&device, family);
            let reference = reference(family);
            let (prompt, answer) = (ids(&reference, "prompt.ids"), ids(&reference, "answer.ids"));
            let (greedy, cancel) = (Sampling::default(), Cancel::default());
            let mut on_progress = |_: Progress<'_>| true;
            let made = model.generate(&prompt, answer.len(), &greedy, &cancel, &mut on_progress);
            let ours = block_on(made).expect("an answer").tokens;
            assert_eq!(ours, answer, "{family} on the {}", device.kind());
        }
    }
}

#[test]
fn an_adapter_goes_out_as_it_came_in() {
    for family in FAMILIES {
        let model = load(&Device::cpu(), family);
        let original = adapter(family);
        let flat = from_peft(&model.config, &original).expect("the adapter fits");
        assert_eq!(to_peft(&model.config, &flat).tensors, original.tensors, "{family}");
    }
}

#[test]
fn shapes_are_read_from_each_familys_own_keys() {
    let config = |family: &str| load(&Device::cpu(), family).config;
    let shape = |config: &Config| (config.heads, config.kv_heads, config.head_dim, config.dim);
    assert_eq!(shape(&config("llama3")), (4, 2, 16, 64));
    assert_eq!(shape(&config("qwen2")), (4, 2, 16, 64));
    assert_eq!(shape(&config("qwen3")), (4, 2, 32, 64));
    assert_eq!(config("qwen2").rope_base, 1e6);
    // PyTorch's own counts: embeddings twice but for qwen3, which ties them.
    let parameters = |family: &str| load(&Device::cpu(), family).parameters();
    let counts = FAMILIES.map(|family| {
        let gguf = header(family);
        let elements = |tensor: &apprentice::format::gguf::TensorInfo| -> u64 {
            tensor.shape.iter().product()
        };
        let tensors = gguf.tensors.iter().filter(|tensor| tensor.name != "rope_freqs.weight");
        tensors.map(elements).sum::<u64>()
    });
    assert_eq!(FAMILIES.map(parameters), counts);
}

fn header(family: &str) -> Gguf {
    let mut source = FileSource::open(&folder(family).join("model.gguf")).expect("the model");
    block_on(Gguf::read(&mut source)).expect("a header")
}

#[test]
fn what_cannot_be_run_is_refused_by_name() {
    let refuse = |family: &str, change: &dyn Fn(&mut Gguf)| {
        let mut gguf = header(family);
        change(&mut gguf);
        Config::from_gguf(&gguf).expect_err("refused").to_string()
    };
    let text = |value: &str| Value::String(value.into());
    let error = refuse("qwen2", &|gguf| {
        gguf.metadata.insert("general.architecture", text("mamba"));
    });
    assert!(error.contains("`mamba`") && error.contains("qwen3"), "{error}");
    let error = refuse("qwen2", &|gguf| {
        gguf.metadata.insert("qwen2.rope.scaling.type", text("yarn"));
    });
    assert!(error.contains("`yarn`"), "{error}");
    let error = refuse("qwen3", &|gguf| {
        gguf.metadata.insert("qwen3.attention.value_length", Value::U32(16));
    });
    assert!(error.contains("one width"), "{error}");
}

/// A model that lacks what its family must have does not load as another one.
#[test]
fn a_missing_bias_or_norm_is_an_error_that_names_it() {
    for (family, from, to) in [
        ("qwen2", "blk.1.attn_k.bias", "blk.1.attn_x.bias"),
        ("qwen3", "blk.0.attn_q_norm.weight", "blk.0.attn_x_norm.weight"),
    ] {
        let mut bytes = std::fs::read(folder(family).join("model.gguf")).expect("the model");
        let at = bytes.windows(from.len()).position(|name| name == from.as_bytes());
        bytes[at.expect("the tensor")..][..to.len()].copy_from_slice(to.as_bytes());
        let mut source = BytesSource::new("model.gguf", bytes);
        let loaded = block_on(Model::load(&Device::cpu(), &mut source, &mut |_, _, _| {}));
        let error: ModelError = loaded.err().expect("refused");
        assert!(error.to_string().contains(from), "{error}");
    }
}
