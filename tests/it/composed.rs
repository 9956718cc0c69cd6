//! Several adapters as one, and one after another: sums of updates, weights, and answers after a switch.
//!
//! Sums are held to the matrices s B A added in f64. Invariant: whatever was in place before, a model answers as one that was
//! just loaded.

use crate::tiny;
use apprentice::device::Device;
use apprentice::model::Model;
use apprentice::model::adapter::Adapter;
use apprentice::model::config::Config;
use apprentice::model::generate::{Cancel, Progress};
use apprentice::model::lora::{LoraLayout, Method, Module};
use apprentice::model::merge::Merge;
use apprentice::model::pass::{Target, causal_rows};
use apprentice::model::sampler::Sampling;
use apprentice::model::stack::compose;
use apprentice::quant::TensorType;
use pollster::block_on;

const IDS: [u32; 8] = [84, 104, 101, 32, 111, 119, 108, 46];

/// What an adapter adds to a module's weight.
fn update(config: &Config, adapter: &Adapter, layer: usize, module: Module) -> Vec<f32> {
    let (outputs, inputs) = module.shape(config);
    let mut change = vec![0.0; outputs * inputs];
    let merge = Merge::new(config, adapter).unwrap();
    merge.change((layer, module), 0, &vec![0.0; outputs * inputs], &mut change);
    change
}

fn logits(model: &mut Model) -> Vec<f32> {
    let targets: Vec<Target> = (0..IDS.len()).map(|i| Target { row: i as u32, label: 0 }).collect();
    block_on(model.logits_of(&causal_rows(&IDS, 0), &targets)).expect("a pass")
}

fn answer(model: &mut Model) -> Vec<u32> {
    let sampling = Sampling { temperature: 1.0, seed: 3, ..Sampling::default() };
    let cancel = Cancel::default();
    let mut go_on = |_: Progress<'_>| true;
    let answer = model.generate(&IDS, 12, &sampling, &cancel, &mut go_on);
    block_on(answer).expect("an answer").tokens
}

#[test]
fn composed_updates_are_the_weighted_sum() {
    let model = tiny::model(&Device::cpu(), TensorType::F32, 1);
    let config = &model.config;
    let first = Adapter { alpha: 5.0, ..tiny::adapter(config, Method::Lora, 4, 1) };
    let second =
        Adapter { method: Method::RsLora, alpha: 2.0, ..tiny::adapter(config, Method::Lora, 3, 2) };
    let parts = [(first.clone(), 0.75), (second.clone(), -0.3)];
    let both = compose(config, &parts).unwrap();
    assert_eq!((both.rank, both.method), (7, Method::Lora));
    for layer in 0..config.layers {
        for module in Module::ALL {
            let [one, two, sum] =
                [&first, &second, &both].map(|adapter| update(config, adapter, layer, module));
            let largest = sum.iter().fold(0f32, |most, value| most.max(value.abs()));
            assert!(largest > 0.01, "{module:?} changes nothing");
            for ((one, two), sum) in one.iter().zip(&two).zip(&sum) {
                let wanted = 0.75 * f64::from(*one) - 0.3 * f64::from(*two);
                assert!((wanted - f64::from(*sum)).abs() < 1e-5 * f64::from(largest), "{module:?}");
            }
        }
    }
}

#[test]
fn one_alone_keeps_its_numbers() {
    let model = tiny::model(&Device::cpu(), TensorType::F32, 1);
    let adapter = tiny::adapter(&model.config, Method::Lora, 4, 1);
    assert_eq!(compose(&model.config, &[(adapter.clone(), 1.0)]).unwrap(), adapter);
    let half = compose(&model.config, &[(adapter.clone(), 0.5)]).unwrap();
    assert_eq!((half.alpha, &half.weights), (adapter.alpha / 2.0, &adapter.weights));
}

#[test]
fn what_is_no_sum_is_refused() {
    let model = tiny::model(&Device::cpu(), TensorType::F32, 1);
    let config = &model.config;
    let lora = tiny::adapter(config, Method::Lora, 4, 1);
    for method in [Method::Dora, Method::Ia3] {
        let other = LoraLayout::new(config, method, 4).fresh(4.0, 1);
        assert_eq!(compose(config, &[(other.clone(), 1.0)]).unwrap(), other, "alone it may go");
        let says = |parts: &[(Adapter, f32)]| compose(config, parts).unwrap_err().to_string();
        assert!(says(&[(other.clone(), 0.5)]).contains(method.name()));
        assert!(says(&[(lora.clone(), 1.0), (other, 1.0)]).contains(method.name()));
    }
    let wide = tiny::adapter(config, Method::Lora, 200, 1);
    let error = compose(config, &[(wide.clone(), 1.0), (wide, 1.0)]).unwrap_err().to_string();
    assert!(error.contains("rank 400"), "{error}");
    let foreign = Adapter { weights: vec![0.0; 64], ..lora.clone() };
    assert!(compose(config, &[(lora, 1.0), (foreign, 1.0)]).is_err(), "of another model");
}

/// Two adapters of weight 0 and 1 answer as the one alone, and both together as neither.
#[test]
fn weights_are_heard_in_the_answers() {
    for device in tiny::devices() {
        let mut model = tiny::model(&device, TensorType::Q4_0, 1);
        let [a, b] = [1, 2].map(|seed| tiny::adapter(&model.config, Method::Lora, 4, seed));
        let mut say = |parts: &[(&Adapter, f32)]| {
            let parts: Vec<_> = parts.iter().map(|(a, weight)| ((*a).clone(), *weight)).collect();
            let adapter = compose(&model.config, &parts).unwrap();
            model.set_adapter(Some(&adapter)).unwrap();
            logits(&mut model)
        };
        let far =
            |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| (x - y).abs()).fold(0f32, f32::max);
        let (alone, muted) = (say(&[(&a, 1.0)]), say(&[(&a, 1.0), (&b, 0.0)]));
        assert!(far(&alone, &muted) < 1e-4, "{}", far(&alone, &muted));
        let halves = say(&[(&a, 0.5), (&a, 0.5)]);
        assert!(far(&alone, &halves) < 1e-4, "{}", far(&alone, &halves));
        assert!(far(&alone, &say(&[(&a, 1.0), (&b, 1.0)])) > 0.01, "the other is heard");
        assert!(far(&alone, &say(&[(&a, 0.5)])) > 0.01, "the weight is heard");
    }
}

/// After any switch a model answers, bit for bit, as one that was just loaded with that adapter.
#[test]
fn after_a_switch_answers_are_those_of_a_fresh_process() {
    for device in tiny::devices() {
        let config = tiny::model(&device, TensorType::Q4_0, 1).config;
        let a = tiny::adapter(&config, Method::Lora, 4, 1);
        // Of the same shape (its memory is taken over), of another rank, and none.
        let (b, c) = (
            tiny::adapter(&config, Method::Lora, 4, 2),
            tiny::adapter(&config, Method::Lora, 9, 3),
        );
        let wanted = [None, Some(&a), Some(&b), Some(&c)].map(|adapter| {
            let mut fresh = tiny::model(&device, TensorType::Q4_0, 1);
            fresh.set_adapter(adapter).unwrap();
            (adapter, answer(&mut fresh), logits(&mut fresh))
        });
        assert!(wanted[1].1 != wanted[2].1, "adapters that say the same show nothing");
        let mut model = tiny::model(&device, TensorType::Q4_0, 1);
        for i in [1, 2, 1, 3, 0, 2, 3, 1, 0, 1] {
            let (adapter, answered, scored) = &wanted[i];
            model.set_adapter(*adapter).unwrap();
            assert_eq!(&answer(&mut model), answered, "adapter {i}");
            assert_eq!(&logits(&mut model), scored, "adapter {i}");
        }
    }
}
