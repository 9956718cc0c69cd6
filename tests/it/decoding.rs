//! A decoded row against the same row on the way of many rows, layer by layer, on both devices: with and without an adapter,
//! for every family.
//!
//! The two ways share no kernel but attention's, and the adapter is in half floats on one of them.

use crate::common::Random;
use crate::tiny;
use apprentice::device::{Device, Recording};
use apprentice::model::Model;
use apprentice::model::decode_layer::OneRow;
use apprentice::model::forward::{Keys, Net, Rows};
use apprentice::model::lora::{Lora, Method};
use apprentice::model::workspace::activations;
use apprentice::quant::TensorType;
use apprentice::tensor::Tensor;
use pollster::block_on;

/// Rows that follow each other in the cache.
const STEPS: usize = 5;

/// The largest difference of the two ways' residual streams and keys, relative to the largest number; and how much an
/// adapter changes the stream at all.
fn difference(model: &Model, lora: Option<&Lora>) -> f32 {
    let (device, config) = (&model.device, &model.config);
    let rope = model.rope_table().view();
    let (weights, tuning) = (&model.weights, None);
    let net = Net { config, weights, lora, rope: &rope, tuning };
    let kv = config.kv_heads * config.head_dim;
    let zeros = |rows, cols| Tensor::zeros(device, "t", rows, cols).unwrap();
    let caches = [0; 2].map(|_| [zeros(STEPS, kv), zeros(STEPS, kv)]);
    let a = activations(device, config, 1).unwrap();
    let one = OneRow::new(device, config).unwrap();
    let (mid, out) = (zeros(1, config.dim), zeros(1, config.dim));
    let mut random = Random(7);
    let mut worst = 0.0f32;
    for step in 0..STEPS as u32 {
        let x: Vec<f32> = (0..config.dim).map(|_| random.float()).collect();
        let h = [0; 2].map(|_| Tensor::upload(device, "h", &x, 1, config.dim).unwrap());
        let places = device.upload("places", &[step, step]).unwrap().view();
        let spans = device.upload("spans", &[0, step + 1, 0, 0]).unwrap().view();
        let rows = Rows { n: 1, places: &places, spans: &spans };
        let keys = |i: usize| Keys { k: &caches[i][0], v: &caches[i][1] };
        let mut rec = Recording::new();
        net.decode_layer(&mut rec, 1, rows, keys(0), &h[0], &one).unwrap();
        net.layer(&mut rec, 1, rows, keys(1), [&h[1], &mid, &out], &a).unwrap();
        device.submit(rec).unwrap();
        let [[k0, v0], [k1, v1]] = &caches;
        for (ours, theirs) in [(&h[0], &out), (k0, k1), (v0, v1)] {
            let [ours, theirs] = [ours, theirs].map(|t| block_on(t.read(device)).unwrap());
            let largest = theirs.iter().fold(0.0f32, |most, x| most.max(x.abs()));
            for (a, b) in ours.iter().zip(&theirs) {
                assert!(a.is_finite());
                worst = worst.max((a - b).abs() / largest);
            }
        }
    }
    worst
}

fn models(device: &Device) -> Vec<Model> {
    let mut models = vec![tiny::model(device, TensorType::Q4_1, 3)];
    models.extend(["llama3", "qwen2", "qwen3"].map(|family| tiny::family(device, family)));
    models
}

fn prepared(model: &Model, method: Method, rank: usize) -> Lora {
    let (device, config) = (&model.device, &model.config);
    let adapter = tiny::adapter(config, method, rank, 5);
    let mut lora = Lora::put(device, config, &model.weights, &adapter, None).unwrap();
    lora.prepare(device, config).unwrap();
    lora
}

#[test]
fn a_decoded_row_is_a_row_of_a_pass() {
    for device in tiny::devices() {
        for model in models(&device) {
            let place = format!("{} on the {}", model.config.name, device.kind());
            let net_decodes = |lora| {
                let rope = model.rope_table().view();
                Net {
                    config: &model.config,
                    weights: &model.weights,
                    lora,
                    rope: &rope,
                    tuning: None,
                }
                .decodes(1)
            };
            assert!(net_decodes(None), "{place}");
            let off = difference(&model, None);
            assert!(off < 5e-6, "{place}: off by {off}");
            use Method::*;
            for (method, rank) in
                [(Lora, 1), (RsLora, 6), (Lora, 16), (Dora, 1), (Dora, 6), (Ia3, 0)]
            {
                let lora = prepared(&model, method, rank);
                let off = difference(&model, Some(&lora));
                let place = format!("{place}, {method} of rank {rank}");
                // Half floats have 11 bits; what (IA)³ multiplies with is in f32.
                let limit = if method == Ia3 { 5e-6 } else { 5e-4 };
                assert!(off < limit, "{place}: off by {off}");
                println!("{place}: off by {off:.1e}");
            }
        }
    }
}

/// The check itself: an adapter whose copy is not of its numbers is far off.
#[test]
fn an_outdated_copy_is_seen() {
    let device = Device::cpu();
    let model = tiny::model(&device, TensorType::Q4_1, 3);
    for method in Method::ALL {
        let lora = prepared(&model, method, 6);
        let other = tiny::adapter(&model.config, method, 6, 6);
        device.write(&lora.flat.buffer, 0, &other.weights).unwrap();
        assert!(difference(&model, Some(&lora)) > 0.01, "{method}");
    }
}
