//! Losses and LoRA gradients: loss within 1e-4, every gradient within 1e-3 (‖a-b‖/‖b‖) on the CPU device;
//! within 5e-3 on the GPU for short sequences.

use super::{Tensors, devices, load, meta, relative, sequences};
use apprentice::device::{Device, DeviceChoice};
use apprentice::format::peft::{Part, PeftAdapter, PeftTensor};
use apprentice::model::adapter::Adapter;
use apprentice::model::lora::LoraLayout;
use apprentice::model::peft::{from_peft, to_peft};
use apprentice::model::{Model, pass};
use apprentice::tensor::TileType;
use apprentice::train::{Goal, Plan, Sequence, Trainer};
use pollster::block_on;

/// The golden adapter in Hugging Face's layout.
fn golden_adapter(alpha: f32) -> PeftAdapter {
    let golden = Tensors::read("lora_AB.safetensors");
    let tensors: Vec<PeftTensor> = golden
        .names()
        .map(|name| {
            // layers.N.MODULE.A
            let parts: Vec<&str> = name.split('.').collect();
            let tensor = golden.get(name);
            PeftTensor {
                layer: parts[1].parse().expect("a layer"),
                module: parts[2].to_string(),
                part: if parts[3] == "A" { Part::A } else { Part::B },
                shape: [tensor.shape[0], tensor.shape[1]],
                data: tensor.data.clone(),
            }
        })
        .collect();
    let first = tensors.iter().find(|tensor| tensor.part == Part::A).expect("a pair");
    let (rank, base_model_name) = (first.shape[0], String::new());
    PeftAdapter { rank, alpha, use_rslora: false, base_model_name, tensors }
}

/// Alpha as meta.json's conventions state it: "… r=4 alpha=8 …".
fn alpha(meta: &serde_json::Value) -> f32 {
    let text = meta["conventions"]["lora"].as_str().expect("the LoRA's convention");
    let after = text.split("alpha=").nth(1).expect("alpha");
    after.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok()).expect("alpha")
}

/// Mean loss of all positions, and the flat gradient, with as many kept activations as fit in `bytes`.
fn gradient_within(
    model: &mut Model,
    adapter: &Adapter,
    ids: &[u32],
    bytes: u64,
) -> (f32, Vec<f32>) {
    model.set_adapter(Some(adapter)).expect("the adapter fits");
    let layout = LoraLayout::of(&model.config, adapter);
    let plan = Plan::new(&model.config, ids.len(), bytes);
    let trainer = Trainer::with_plan(model, &layout, ids.len(), plan).expect("memory to train");
    let sequence = Sequence {
        tokens: ids.to_vec(),
        counted: vec![true; ids.len()],
        goal: Goal::Tokens,
        weight: 1.0,
    };
    let loss = block_on(trainer.accumulate(model, &[sequence])).expect("a backward pass");
    (loss.tokens, block_on(trainer.gradient()).expect("the gradient"))
}

/// Mean loss of all positions, and the gradient in Hugging Face's layout.
fn gradient(model: &mut Model, adapter: &Adapter, ids: &[u32]) -> (f32, PeftAdapter) {
    let (loss, weights) = gradient_within(model, adapter, ids, Plan::KEPT_BYTES_MAX);
    let flat = Adapter { weights, ..*adapter };
    (loss, to_peft(&model.config, &flat))
}

#[test]
fn kept_and_recomputed_activations_give_the_same_gradient_bit_for_bit() {
    let meta = meta();
    let peft = golden_adapter(alpha(&meta));
    let sequences = sequences(&meta);
    let shortest = sequences.iter().min_by_key(|s| s.ids.len()).expect("a sequence");
    let mut model = load(&Device::cpu());
    let adapter = from_peft(&model.config, &peft).expect("the golden adapter fits");
    let layer = Plan::layer_bytes(&model.config, shortest.ids.len());
    let plan = Plan::new(&model.config, shortest.ids.len(), 7 * layer);
    let kept = (0..model.config.layers).filter(|layer| plan.keeps(*layer)).count();
    assert_eq!(kept, 7, "seven layers fit in seven layers' bytes");
    let none = gradient_within(&mut model, &adapter, &shortest.ids, 0);
    for bytes in [7 * layer, u64::MAX] {
        let some = gradient_within(&mut model, &adapter, &shortest.ids, bytes);
        assert_eq!(some.0.to_bits(), none.0.to_bits(), "the loss within {bytes} bytes");
        let same = some.1.iter().zip(&none.1).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same, "the gradient within {bytes} bytes");
    }
}

#[test]
fn losses_and_lora_gradients() {
    let meta = meta();
    let golden = Tensors::read("lora_grads.safetensors");
    let peft = golden_adapter(alpha(&meta));
    let has_gradients = |sequence: &super::Sequence| {
        let prefix = format!("{}.layers.", sequence.name);
        golden.names().any(|name| name.starts_with(&prefix))
    };
    let sequences: Vec<_> = sequences(&meta).into_iter().filter(has_gradients).collect();
    for (device, tokens_max) in devices(&sequences) {
        let (loss_limit, limit) = if device.is_cpu() { (1e-4, 1e-3) } else { (1e-3, 5e-3) };
        let mut model = load(&device);
        let adapter = from_peft(&model.config, &peft).expect("the golden adapter fits");
        let mut checked = 0;
        for sequence in sequences.iter().filter(|s| s.ids.len() <= tokens_max) {
            let (loss, ours) = gradient(&mut model, &adapter, &sequence.ids);
            let theirs = meta["lora"][&sequence.name]["loss"].as_f64().expect("a loss");
            let off = (f64::from(loss) - theirs).abs() / theirs;
            let place = format!("{}, {}", device.kind(), sequence.name);
            assert!(off <= loss_limit, "{place}: loss {loss}, not {theirs}");
            let mut worst = 0.0f64;
            for tensor in &ours.tensors {
                let part = if tensor.part == Part::A { "A" } else { "B" };
                let name = format!("layers.{}.{}.{part}", tensor.layer, tensor.module);
                let norm = meta["lora"][&sequence.name]["grad_norms"][&name].as_f64();
                let square = |x: &f32| f64::from(*x) * f64::from(*x);
                let own: f64 = tensor.data.iter().map(square).sum::<f64>().sqrt();
                if let Some(norm) = norm {
                    assert!(
                        (own - norm).abs() <= limit * norm,
                        "{place}: ‖{name}‖ {own}, not {norm}"
                    );
                }
                let full = format!("{}.{name}", sequence.name);
                if golden.names().any(|known| known == full) {
                    let off = relative(&tensor.data, &golden.get(&full).data);
                    worst = worst.max(off);
                    assert!(off <= limit, "{place}: {name} is off by {off}");
                    checked += 1;
                }
            }
            println!("{place}: loss off by {off:.2e}, worst gradient {worst:.2e} over {checked}");
        }
        assert!(checked > 0, "no golden gradient was compared on the {}", device.kind());
    }
}

#[test]
fn logits_with_the_adapter() {
    let meta = meta();
    let golden = Tensors::read("lora_grads.safetensors");
    let peft = golden_adapter(alpha(&meta));
    let mut model = load(&Device::cpu());
    let adapter = from_peft(&model.config, &peft).expect("the golden adapter fits");
    model.set_adapter(Some(&adapter)).expect("the adapter fits");
    let mut checked = 0;
    for sequence in sequences(&meta) {
        let name = format!("{}.last_logits", sequence.name);
        if !golden.names().any(|known| known == name) {
            continue;
        }
        let theirs = &golden.get(&name).data;
        let last = pass::Target { row: sequence.ids.len() as u32 - 1, label: 0 };
        let rows = pass::causal_rows(&sequence.ids, 0);
        let ours = block_on(model.logits_of(&rows, &[last])).expect("a pass");
        let largest = theirs.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        for (id, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
            let off = (ours - theirs).abs();
            assert!(off <= 2e-3 * largest, "{name}: id {id}: {ours}, not {theirs}");
            checked += 1;
        }
    }
    assert!(checked > 0, "no golden logit with the adapter was compared");
}

/// Weights held as f16 round what gradients pass through: that must stay within the GPU's limits. `losses_and_lora_gradients`
/// holds the CPU's gradient, which this one is compared with, against PyTorch's.
#[test]
fn tiles_of_f16_keep_gradients_within_the_gpus_limits() {
    let meta = meta();
    let peft = golden_adapter(alpha(&meta));
    let sequences = sequences(&meta);
    let shortest = sequences.iter().min_by_key(|s| s.ids.len()).expect("a sequence");
    let gpu = block_on(Device::open(DeviceChoice::Gpu)).expect("a GPU (lavapipe will do)");
    assert!(gpu.features().f16, "the software adapter has f16");
    let [(loss, exact), (half_loss, half)] = [(Device::cpu(), TileType::F32), (gpu, TileType::F16)]
        .map(|(device, tile)| {
            let mut model = load(&device);
            model.weights.set_tile(tile);
            let adapter = from_peft(&model.config, &peft).expect("the golden adapter fits");
            gradient_within(&mut model, &adapter, &shortest.ids, Plan::KEPT_BYTES_MAX)
        });
    let off = relative(&half, &exact);
    let loss_off = (f64::from(half_loss) - f64::from(loss)).abs() / f64::from(loss);
    println!("f16 tiles: loss off by {loss_off:.2e}, gradient by {off:.2e}");
    assert!(loss_off <= 1e-3, "the loss is off by {loss_off}");
    assert!(off <= 5e-3, "the gradient is off by {off}");
    assert!(off > 1e-5, "as exact as f32: the tiles were not f16");
}
