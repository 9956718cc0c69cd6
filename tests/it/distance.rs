//! How far adapters are apart: against dense updates from the code that merges, and where only the factors differ.

use crate::tiny;
use apprentice::device::Device;
use apprentice::model::adapter::Adapter;
use apprentice::model::config::Config;
use apprentice::model::distance::distance;
use apprentice::model::lora::{LoraLayout, Method, Module};
use apprentice::model::merge::Merge;
use apprentice::quant::TensorType;

/// All that an adapter adds to the model's matrices, dense.
fn dense(config: &Config, adapter: &Adapter) -> Vec<f64> {
    let merge = Merge::new(config, adapter).unwrap();
    let mut all = Vec::new();
    for layer in 0..config.layers {
        for module in Module::ALL {
            let (outputs, inputs) = module.shape(config);
            let mut change = vec![0.0; outputs * inputs];
            merge.change((layer, module), 0, &vec![0.0; outputs * inputs], &mut change);
            all.extend(change.into_iter().map(f64::from));
        }
    }
    all
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

#[test]
fn the_distance_is_that_of_the_dense_updates() {
    let model = tiny::model(&Device::cpu(), TensorType::F32, 1);
    let config = &model.config;
    let one = Adapter { alpha: 5.0, ..tiny::adapter(config, Method::Lora, 4, 1) };
    let two =
        Adapter { method: Method::RsLora, alpha: 2.0, ..tiny::adapter(config, Method::Lora, 3, 2) };
    let (dense_one, dense_two) = (dense(config, &one), dense(config, &two));
    let found = distance(config, Some(&one), Some(&two)).unwrap().unwrap();
    let change = norm(dense_one.iter().zip(&dense_two).map(|(a, b)| b - a));
    let near = |found: f64, wanted: f64| (found - wanted).abs() <= 1e-5 * wanted;
    assert!(change > 0.1 && near(found.change, change), "{} for {change}", found.change);
    assert!(near(found.from, norm(dense_one.iter().copied())));
    assert!(near(found.to, norm(dense_two.iter().copied())));
    let from_base = distance(config, None, Some(&two)).unwrap().unwrap();
    assert_eq!((from_base.from, from_base.relative()), (0.0, 1.0));
    let ia3 = Adapter { method: Method::Ia3, rank: 0, alpha: 0.0, weights: Vec::new() };
    assert_eq!(distance(config, Some(&ia3), None).unwrap(), None);
}

#[test]
fn turned_factors_are_no_distance_apart() {
    let model = tiny::model(&Device::cpu(), TensorType::F32, 1);
    let config = &model.config;
    let one = tiny::adapter(config, Method::Lora, 4, 1);
    // Doubled A beside halved B is the same update; so are two ranks that changed places.
    let layout = LoraLayout::of(config, &one);
    let mut two = one.clone();
    for layer in 0..config.layers {
        for module in Module::ALL {
            let slot = layout.slot(layer, module);
            two.weights[slot.a..][..4 * slot.inputs].iter_mut().for_each(|value| *value *= 2.0);
            two.weights[slot.b..][..4 * slot.outputs].iter_mut().for_each(|value| *value *= 0.5);
            let (first, rest) = two.weights[slot.a..].split_at_mut(slot.inputs);
            first.swap_with_slice(&mut rest[..slot.inputs]);
            two.weights[slot.b..][..4 * slot.outputs].chunks_mut(4).for_each(|row| row.swap(0, 1));
        }
    }
    let found = distance(config, Some(&one), Some(&two)).unwrap().unwrap();
    assert!(found.relative() < 1e-6, "{found:?}");
    assert!(one.weights.iter().zip(&two.weights).any(|(a, b)| (a - b).abs() > 0.01));
}
