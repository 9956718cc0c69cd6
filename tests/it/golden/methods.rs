//! DoRA and (IA)³ on the real model against PEFT: losses within 1e-4, every gradient within 1e-3 (‖a-b‖/‖b‖), logits within
//! 2e-3 of the largest, on the CPU device; within 5e-3 on the GPU for the shortest sequence. Rows of q and k are permuted here,
//! as a `llama` GGUF has them.

use super::{Tensors, devices, load, meta, relative, sequences};
use apprentice::device::Device;
use apprentice::format::peft::{permute_rows, unpermute_rows};
use apprentice::model::adapter::Adapter;
use apprentice::model::config::Config;
use apprentice::model::lora::{LoraLayout, Method, Module};
use apprentice::model::{Model, pass};
use apprentice::train::{Goal, Sequence, Trainer};
use pollster::block_on;
use std::ops::Range;

/// A part of an adapter: its name in the golden files, its values, and the heads and columns by which its rows are permuted.
struct Part {
    name: String,
    range: Range<usize>,
    permuted: Option<(usize, usize)>,
}

impl Part {
    /// From PEFT's order of rows to the model's.
    fn inward(&self, data: &[f32]) -> Vec<f32> {
        self.permuted.map_or(data.to_vec(), |(heads, cols)| permute_rows(data, heads, cols))
    }

    /// And back.
    fn outward(&self, data: &[f32]) -> Vec<f32> {
        self.permuted.map_or(data.to_vec(), |(heads, cols)| unpermute_rows(data, heads, cols))
    }
}

fn parts(config: &Config, method: Method, rank: usize) -> Vec<Part> {
    let layout = LoraLayout::new(config, method, rank);
    let mut parts = Vec::new();
    for layer in 0..config.layers {
        for module in Module::ALL {
            let slot = layout.slot(layer, module);
            let heads = match module {
                Module::Q => Some(config.heads),
                Module::K => Some(config.kv_heads),
                _ => None,
            };
            let mut part = |name: &str, at, len, cols: Option<usize>| {
                if len > 0 {
                    let name = format!("layers.{layer}.{}.{name}", module.name());
                    let permuted = heads.and_then(|heads| Some((heads, cols?)));
                    parts.push(Part { name, range: at..at + len, permuted });
                }
            };
            let rank = layout.rank;
            part("A", slot.a, rank * slot.inputs, None);
            part("B", slot.b, slot.outputs * rank, Some(rank));
            let name = if method == Method::Dora { "m" } else { "ia3_l" };
            part(name, slot.vector, slot.vector_len, Some(1));
        }
    }
    parts
}

/// The golden adapter: DoRA's pairs are those of LoRA, with magnitudes of its own.
fn adapter(config: &Config, method: Method) -> Adapter {
    let rank = if method == Method::Dora { 4 } else { 0 };
    let mut tensors = vec![Tensors::read(&format!("{method}_params.safetensors"))];
    if method == Method::Dora {
        tensors.push(Tensors::read("lora_AB.safetensors"));
    }
    let mut weights = vec![0.0; LoraLayout::new(config, method, rank).len];
    for part in parts(config, method, rank) {
        let file = tensors.iter().find(|file| file.names().any(|name| name == part.name));
        let data = part.inward(&file.expect("a golden file has the part").get(&part.name).data);
        weights[part.range].copy_from_slice(&data);
    }
    Adapter { method, rank, alpha: 8.0, weights }
}

fn gradient(model: &Model, adapter: &Adapter, ids: &[u32]) -> (f32, Vec<f32>) {
    let layout = LoraLayout::of(&model.config, adapter);
    let trainer = Trainer::new(model, &layout, ids.len()).expect("memory to train");
    let counted = vec![true; ids.len()];
    let sequence = Sequence { tokens: ids.to_vec(), counted, goal: Goal::Tokens, weight: 1.0 };
    let loss = block_on(trainer.accumulate(model, &[sequence])).expect("a backward pass");
    (loss.tokens, block_on(trainer.gradient()).expect("the gradient"))
}

fn check_gradients(method: Method) {
    let meta = meta();
    let golden = Tensors::read(&format!("{method}_grads.safetensors"));
    let all = sequences(&meta);
    for (device, tokens_max) in devices(&all) {
        let (loss_limit, limit) = if device.is_cpu() { (1e-4, 1e-3) } else { (1e-3, 5e-3) };
        let mut model = load(&device);
        let adapter = adapter(&model.config, method);
        model.set_adapter(Some(&adapter)).expect("the golden adapter fits");
        let parts = parts(&model.config, method, adapter.rank);
        let mut checked = 0;
        for sequence in all.iter().filter(|sequence| sequence.ids.len() <= tokens_max) {
            let place = format!("{method}, {}, {}", device.kind(), sequence.name);
            let known = &meta[method.name()][&sequence.name];
            let theirs = known["loss"].as_f64().expect("a loss");
            let (loss, ours) = gradient(&model, &adapter, &sequence.ids);
            let off = (f64::from(loss) - theirs).abs() / theirs;
            assert!(off <= loss_limit, "{place}: loss {loss}, not {theirs}");
            let mut worst = 0.0f64;
            for part in &parts {
                let ours = part.outward(&ours[part.range.clone()]);
                let own = ours.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
                let norm = known["grad_norms"][&part.name].as_f64().expect("every norm is known");
                let name = &part.name;
                assert!((own - norm).abs() <= limit * norm, "{place}: ‖{name}‖ {own}, not {norm}");
                let full = format!("{}.{name}", sequence.name);
                if golden.names().any(|known| known == full) {
                    let off = relative(&ours, &golden.get(&full).data);
                    worst = worst.max(off);
                    assert!(off <= limit, "{place}: {name} is off by {off}");
                    checked += 1;
                }
            }
            println!("{place}: loss off by {off:.2e}, worst gradient {worst:.2e}");
        }
        assert!(checked > 0, "no golden gradient was compared on the {}", device.kind());
    }
}

#[test]
fn dora_gradients() {
    check_gradients(Method::Dora);
}

#[test]
fn ia3_gradients() {
    check_gradients(Method::Ia3);
}

/// Two ways to the last logits: the pass of many rows, and decoding's own after the rest of the text.
#[test]
fn last_logits_with_dora_and_ia3() {
    let meta = meta();
    let mut model = load(&Device::cpu());
    for method in [Method::Dora, Method::Ia3] {
        let golden = Tensors::read(&format!("{method}_grads.safetensors"));
        let adapter = adapter(&model.config, method);
        for sequence in sequences(&meta) {
            model.set_adapter(Some(&adapter)).expect("the golden adapter fits");
            let theirs = &golden.get(&format!("{}.last_logits", sequence.name)).data;
            let last = pass::Target { row: sequence.ids.len() as u32 - 1, label: 0 };
            let rows = pass::causal_rows(&sequence.ids, 0);
            let ours = block_on(model.logits_of(&rows, &[last])).expect("a pass");
            let largest = theirs.iter().fold(0.0f32, |most, x| most.max(x.abs()));
            let off = |ours: &[f32]| {
                let pairs = ours.iter().zip(theirs);
                pairs.fold(0.0f32, |most, (a, b)| most.max((a - b).abs())) / largest
            };
            let steps = sequence.ids.iter().map(|id| block_on(model.next_logits(*id)));
            let decoded = steps.last().expect("a token").expect("a step");
            let offs = [off(&ours), off(&decoded)];
            let place = format!("{method}, {}: {offs:?}", sequence.name);
            println!("{place}");
            assert_eq!((ours.len(), decoded.len()), (theirs.len(), theirs.len()));
            assert!(offs.iter().all(|off| *off <= 2e-3), "{place}");
        }
    }
}
