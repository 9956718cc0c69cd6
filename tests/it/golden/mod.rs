//! PyTorch's numbers on the real model: logits, losses, LoRA gradients, greedy continuations.
//!
//! The references are float64 arithmetic on the same quantized weights; where they come from is in
//! `tests/golden/README.md`. The tests take whatever sequences the folder holds.

mod architectures;
mod decode;
mod forward;
mod gradients;
mod greedy;
mod methods;
mod near;

use crate::common::{default_model, golden_dir};
use apprentice::device::{Device, DeviceChoice};
use apprentice::format::source::FileSource;
use apprentice::model::Model;
use pollster::block_on;
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;

/// One golden tensor; token ids are whole numbers that f32 holds exactly.
pub struct Tensor {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

/// The tensors of one file, by name.
pub struct Tensors(BTreeMap<String, Tensor>);

impl Tensors {
    pub fn read(file: &str) -> Tensors {
        let path = golden_dir().join(file);
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Tensors::parse(&bytes)
    }

    pub fn parse(bytes: &[u8]) -> Tensors {
        let all = SafeTensors::deserialize(bytes).expect("golden tensors are readable");
        let tensors = all.iter().map(|(name, view)| {
            let words: Vec<[u8; 4]> = view.data().as_chunks().0.to_vec();
            let data = match view.dtype() {
                Dtype::F32 => words.into_iter().map(f32::from_le_bytes).collect(),
                Dtype::I32 => words.into_iter().map(|w| i32::from_le_bytes(w) as f32).collect(),
                other => panic!("golden tensor `{name}` is {other:?}"),
            };
            (name.to_string(), Tensor { shape: view.shape().to_vec(), data })
        });
        Tensors(tensors.collect())
    }

    pub fn get(&self, name: &str) -> &Tensor {
        self.0.get(name).unwrap_or_else(|| panic!("no golden tensor `{name}`"))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// A golden sequence.
pub struct Sequence {
    pub name: String,
    pub ids: Vec<u32>,
}

/// The sequences that `forward.safetensors` holds.
pub fn sequences(meta: &serde_json::Value) -> Vec<Sequence> {
    let all = meta["sequences"].as_object().expect("meta.json lists the sequences");
    let sequences: Vec<Sequence> = all
        .iter()
        .map(|(name, entry)| Sequence { name: name.clone(), ids: ids(&entry["ids"]) })
        .collect();
    assert!(!sequences.is_empty(), "golden sequences");
    sequences
}

pub fn ids(value: &serde_json::Value) -> Vec<u32> {
    let list = value.as_array().expect("a list of token ids");
    list.iter().map(|id| id.as_u64().expect("a token id") as u32).collect()
}

pub fn meta() -> serde_json::Value {
    json("meta.json")
}

pub fn json(file: &str) -> serde_json::Value {
    let path = golden_dir().join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).expect("golden JSON")
}

/// The devices to test, each with the longest sequence that it runs: the GPU is a software one in most tests, and
/// runs the shortest.
pub fn devices(sequences: &[Sequence]) -> Vec<(Device, usize)> {
    let shortest = sequences.iter().map(|sequence| sequence.ids.len()).min();
    let gpu = block_on(Device::open(DeviceChoice::Gpu)).expect("a GPU adapter (lavapipe will do)");
    vec![(Device::cpu(), usize::MAX), (gpu, shortest.expect("a golden sequence"))]
}

pub fn load(device: &Device) -> Model {
    let mut source = FileSource::open(&default_model()).expect("the model");
    block_on(Model::load(device, &mut source, &mut |_, _, _| {})).expect("the model loads")
}

/// ‖a - b‖ / ‖b‖; NaN anywhere gives NaN, which no comparison accepts.
pub fn relative(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |x: f64| x * x;
    let difference: f64 = a.iter().zip(b).map(|(a, b)| square(f64::from(a - b))).sum();
    let norm: f64 = b.iter().map(|b| square(f64::from(*b))).sum();
    (difference / norm).sqrt()
}
