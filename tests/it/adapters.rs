//! Adapters of every method: their flat order, their bytes and those that older versions of this program wrote, and their
//! gradients against differences of a tiny model's loss.

use crate::golden::relative;
use crate::tiny;
use apprentice::device::Device;
use apprentice::model::Model;
use apprentice::model::adapter::{Adapter, AdapterError};
use apprentice::model::lora::{LoraLayout, Module};
use apprentice::model::method::Method;
use apprentice::quant::TensorType;
use apprentice::train::{Goal, Sequence, Trainer};
use pollster::block_on;
use std::ops::Range;

/// A file as `Adapter::to_bytes` lays it out, with these metadata.
fn file(meta: &str, values: &[f32]) -> Vec<u8> {
    let bytes = 4 * values.len();
    let mut header = format!(
        r#"{{"__metadata__":{{"apprentice":{}}},"adapter":{{"dtype":"F32","shape":[{}],"data_offsets":[0,{bytes}]}}}}"#,
        serde_json::Value::from(meta),
        values.len(),
    );
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(bytemuck::cast_slice::<f32, u8>(values));
    file
}

#[test]
fn what_older_versions_wrote_is_read_as_lora_and_written_again_byte_for_byte() {
    let values = [0.5, -1.25, 3.0];
    let old = file(r#"{"rank":2,"alpha":4}"#, &values);
    let adapter = Adapter::from_bytes(&old).unwrap();
    let weights = values.to_vec();
    assert_eq!(adapter, Adapter { method: Method::Lora, rank: 2, alpha: 4.0, weights });
    assert_eq!(adapter.to_bytes(), old, "a blob keeps its hash");
}

#[test]
fn every_method_survives_its_bytes_and_an_unknown_one_is_refused() {
    for method in Method::ALL {
        let adapter = Adapter { method, rank: 3, alpha: 1.5, weights: vec![0.25, -2.0] };
        let back = Adapter::from_bytes(&adapter.to_bytes()).unwrap();
        assert_eq!(back, adapter);
        let other = Method::ALL.into_iter().find(|other| *other != method).unwrap();
        assert_ne!(Adapter { method: other, ..adapter.clone() }.to_bytes(), adapter.to_bytes());
    }
    for meta in [r#"{"rank":2,"alpha":4,"method":"vera"}"#, r#"{"rank":2,"alpha":4,"method":7}"#] {
        let error = Adapter::from_bytes(&file(meta, &[0.0])).unwrap_err();
        assert!(matches!(error, AdapterError::Field("method")), "{error}");
    }
}

#[test]
fn every_part_has_a_place_of_its_own() {
    let config = tiny::model(&Device::cpu(), TensorType::Q8_0, 1).config;
    for method in Method::ALL {
        let layout = LoraLayout::new(&config, method, 3);
        let mut taken = vec![0; layout.len];
        for layer in 0..config.layers {
            for module in Module::ALL {
                let slot = layout.slot(layer, module);
                let rank = if method == Method::Ia3 { 0 } else { 3 };
                let (inputs, outputs) = (slot.inputs, slot.outputs);
                let vector_len = match (method, module) {
                    (Method::Dora, _) | (Method::Ia3, Module::K | Module::V) => outputs,
                    (Method::Ia3, Module::Down) => inputs,
                    _ => 0,
                };
                assert_eq!((layout.rank, slot.vector_len), (rank, vector_len), "{method}");
                let parts =
                    [(slot.a, rank * inputs), (slot.b, outputs * rank), (slot.vector, vector_len)];
                for (at, len) in parts {
                    assert!(at.is_multiple_of(64), "{method}: bound at {at}");
                    taken[at..at + len].iter_mut().for_each(|n| *n += 1);
                }
            }
        }
        assert!(taken.iter().all(|n| *n <= 1), "{method}: two parts share a value");
        assert_eq!(taken.iter().sum::<usize>(), layout.parameters(), "{method}");
    }
}

#[test]
fn scales_are_those_of_the_papers() {
    let scales = Method::ALL.map(|method| method.scale(8.0, 4));
    assert_eq!(scales, [2.0, 4.0, 2.0, 0.0]);
    for method in Method::ALL {
        assert_eq!(method.name().parse(), Ok(method));
        assert_eq!(serde_json::to_value(method).unwrap(), method.name());
    }
    assert!("vera".parse::<Method>().unwrap_err().contains("lora, rslora, dora or ia3"));
}

/// The values of one kind of part, of all linears.
fn values(layout: &LoraLayout, layers: usize, kind: &str) -> Vec<Range<usize>> {
    let slots = (0..layers).flat_map(|layer| Module::ALL.map(|module| layout.slot(layer, module)));
    let range = |at: usize, len: usize| at..at + len;
    let of = slots.map(|slot| match kind {
        "A" => range(slot.a, layout.rank * slot.inputs),
        "B" => range(slot.b, slot.outputs * layout.rank),
        _ => range(slot.vector, slot.vector_len),
    });
    of.collect()
}

fn loss(model: &Model, trainer: &Trainer) -> f64 {
    let tokens: Vec<u32> = (0..20).map(|i| 40 + 11 * i % 150).collect();
    let counted = vec![true; tokens.len()];
    let sequence = Sequence { tokens, counted, goal: Goal::Tokens, weight: 1.0 };
    f64::from(block_on(trainer.accumulate(model, &[sequence])).unwrap().tokens)
}

/// Along each kind of part's own gradient the loss must change by the gradient's length. DoRA's norm is a constant of its
/// gradient, so A and B are moved without telling the model, which computes the norms when it is told.
#[test]
fn gradients_are_differences_of_the_loss() {
    let [cpu, gpu] = tiny::devices();
    for family in ["llama3", "qwen2", "qwen3"] {
        for method in Method::ALL {
            let mut model = tiny::family(&cpu, family);
            let adapter = tiny::adapter(&model.config, method, 3, 4);
            let layout = LoraLayout::of(&model.config, &adapter);
            model.set_adapter(Some(&adapter)).unwrap();
            let trainer = Trainer::new(&model, &layout, 32).unwrap();
            loss(&model, &trainer);
            let gradient = block_on(trainer.gradient()).unwrap();
            for kind in ["A", "B", "vector"] {
                let ranges = values(&layout, model.config.layers, kind);
                let squares = ranges.iter().flat_map(|range| &gradient[range.clone()]);
                let norm = squares.map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
                if ranges.iter().all(Range::is_empty) {
                    continue;
                }
                let mut moved = |by: f64| {
                    let mut weights = adapter.weights.clone();
                    for i in ranges.iter().cloned().flatten() {
                        weights[i] += (by * f64::from(gradient[i]) / norm) as f32;
                    }
                    let flat = model.lora().unwrap().flat.buffer.clone();
                    cpu.write(&flat, 0, &weights).unwrap();
                    if kind == "vector" {
                        model.adapter_changed().unwrap();
                    }
                    loss(&model, &trainer)
                };
                let step = 0.01 / norm;
                let slope = (moved(step) - moved(-step)) / (2.0 * step);
                moved(0.0);
                let place = format!("{family}, {method}, {kind}: slope {slope}, norm {norm}");
                println!("{place}");
                assert!((slope / norm - 1.0).abs() < 0.01, "{place}");
            }
            let mut model = tiny::family(&gpu, family);
            model.set_adapter(Some(&adapter)).unwrap();
            let trainer = Trainer::new(&model, &layout, 32).unwrap();
            loss(&model, &trainer);
            let off = relative(&block_on(trainer.gradient()).unwrap(), &gradient);
            assert!(off < 1e-4, "{family}, {method}: the GPU's gradient is off by {off}");
        }
    }
}
