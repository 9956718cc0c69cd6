//! What earlier learning needs of the adapter, on the host: EWC's Fisher information in one of two forms, and its bytes.
//!
//! It knows no device. The anchor is not here: it is the adapter that the importance was measured at. Invariant: the same
//! importance gives the same bytes.

use crate::model::config::Config;
use crate::model::lora::{LoraLayout, Module};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// What the Fisher information is taken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The adapter's numbers, each by itself (Kirkpatrick et al. 2017).
    Diagonal,
    /// What the adapter adds to each linear, W_ij, as the product of input and output second moments.
    Function,
}

/// How much each number, or each direction of each linear, matters.
#[derive(Debug, Clone, PartialEq)]
pub struct Importance {
    /// What it is of.
    pub form: Form,
    /// The adapter's rank.
    pub rank: usize,
    /// How much evidence it holds: 1 for each measurement, less for those before it.
    pub mass: f64,
    /// Function: means of the linears' squared inputs x_j², in [`Spots`]' order. Diagonal: none.
    pub inputs: Vec<f32>,
    /// Function: sums over a text of the squared gradients dy_i² of their outputs. Diagonal: F in the adapter's flat order.
    pub values: Vec<f32>,
}

/// Why bytes are no importance.
#[derive(Debug, thiserror::Error)]
pub enum ImportanceError {
    /// The bytes are no safetensors file.
    #[error("the record of what earlier lessons need is damaged: {0}")]
    Damaged(#[from] safetensors::SafeTensorError),
    /// A field is missing or has the wrong type.
    #[error("the record of what earlier lessons need lacks a valid `{0}`")]
    Field(&'static str),
}

/// Where a linear's moments lie in the function form's two vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// First of its inputs.
    pub input: usize,
    /// Inputs.
    pub inputs: usize,
    /// First of its outputs.
    pub output: usize,
    /// Outputs.
    pub outputs: usize,
}

/// The order of the function form's vectors: layer by layer, in each the seven linears, each on a multiple of 64 (256 bytes,
/// WebGPU's binding alignment).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spots {
    /// Values of the inputs' vector, padding included.
    pub inputs: usize,
    /// Values of the outputs' vector, padding included.
    pub outputs: usize,
    spots: Vec<[Spot; 7]>,
}

impl Spots {
    /// The order for an adapter of this layout.
    pub fn new(config: &Config, layout: &LoraLayout) -> Spots {
        let (mut input, mut output) = (0, 0);
        let take = |at: &mut usize, values: usize| {
            let first = *at;
            *at += values.next_multiple_of(64);
            first
        };
        let spots = (0..config.layers)
            .map(|layer| {
                Module::ALL.map(|module| {
                    let slot = layout.slot(layer, module);
                    let (inputs, outputs) = (slot.inputs, slot.outputs);
                    let (input, output) = (take(&mut input, inputs), take(&mut output, outputs));
                    Spot { input, inputs, output, outputs }
                })
            })
            .collect();
        Spots { inputs: input, outputs: output, spots }
    }

    /// Where a linear's moments lie.
    pub fn at(&self, layer: usize, module: Module) -> Spot {
        self.spots[layer][module as usize]
    }
}

impl Importance {
    /// Online EWC (Schwarz et al. 2018, section 4): F = γ F_old + F_new. Of the function form the output moments add up so,
    /// and the input moments are the mean over all evidence: their product stays the Fisher information of one matrix.
    pub fn after(mut self, old: &Importance, gamma: f64) -> Importance {
        assert!(self.is_like(old), "two importances of one form and shape");
        let kept = gamma * old.mass;
        let mass = kept + self.mass;
        let blend = |values: &mut [f32], old: &[f32], new: f64, past: f64| {
            for (value, old) in values.iter_mut().zip(old) {
                *value = (new * f64::from(*value) + past * f64::from(*old)) as f32;
            }
        };
        blend(&mut self.inputs, &old.inputs, self.mass / mass, kept / mass);
        blend(&mut self.values, &old.values, 1.0, gamma);
        Importance { mass, ..self }
    }

    /// Whether another one is of the same form and shape.
    pub fn is_like(&self, other: &Importance) -> bool {
        let shape = |i: &Importance| (i.form, i.rank, i.inputs.len(), i.values.len());
        shape(self) == shape(other)
    }

    /// The importance as bytes: one safetensors file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let head = Head { form: self.form, rank: self.rank, mass: self.mass };
        let head = serde_json::to_string(&head).expect("three plain fields");
        let metadata = HashMap::from([("apprentice".to_string(), head)]);
        let tensors = [("inputs", flat(&self.inputs)), ("values", flat(&self.values))];
        safetensors::serialize(tensors, Some(metadata)).expect("serializing to memory has no I/O")
    }

    /// Reads what `to_bytes` wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Importance, ImportanceError> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let head = header.metadata().as_ref().and_then(|m| m.get("apprentice"));
        let head = head.ok_or(ImportanceError::Field("apprentice"))?;
        let head = serde_json::from_str(head).map_err(|_| ImportanceError::Field("apprentice"))?;
        let Head { form, rank, mass } = head;
        let tensors = SafeTensors::deserialize(bytes)?;
        let read = |name| {
            let tensor = tensors.tensor(name)?;
            let data = (tensor.dtype() == Dtype::F32).then(|| tensor.data());
            let data = data.ok_or(ImportanceError::Field(name))?;
            Ok::<_, ImportanceError>(bytemuck::pod_collect_to_vec(data))
        };
        Ok(Importance { form, rank, mass, inputs: read("inputs")?, values: read("values")? })
    }
}

fn flat(values: &[f32]) -> TensorView<'_> {
    let (shape, data) = (vec![values.len()], bytemuck::cast_slice(values));
    TensorView::new(Dtype::F32, shape, data).expect("a flat f32 tensor has its size")
}

#[derive(Serialize, Deserialize)]
struct Head {
    form: Form,
    rank: usize,
    mass: f64,
}
