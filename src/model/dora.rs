//! DoRA's norms: those of the rows of W + s B A for every linear, and what passes multiply outputs with.
//!
//! No dequantized W is needed at a step: ‖W_i‖² is summed once, the rest is products with A's few rows (`dora_norms`).
//! Invariant: a refresh follows every change of the adapter's numbers, before they are used.

use super::config::Config;
use super::module::Module;
use super::weights::Weights;
use crate::device::{Buffer, Device, DeviceError, Recording, View};
use crate::kernels::{self, NormTerms};
use crate::tensor::Tensor;

/// What one linear's norms are made of.
pub struct Parts {
    /// A, `[r, in]`.
    pub a: Tensor,
    /// B, `[out, r]`.
    pub b: Tensor,
    /// The magnitudes m, `[out]`.
    pub m: View,
}

/// The norms on a device; a value for each output of each linear in each of three vectors.
pub struct Norms {
    places: Places,
    /// ‖W_i‖².
    squares: Buffer,
    /// Are the squares there?
    summed: bool,
    /// c = m / n.
    factors: Buffer,
    /// 1 / n.
    inverses: Buffer,
    /// A Wᵀ, `[r, out]`, of the linear at hand.
    products: Tensor,
    /// A Aᵀ, `[r, r]`.
    square: Tensor,
    /// B A Aᵀ, `[out, r]`.
    gram: Tensor,
}

impl Norms {
    /// Memory for adapters of rank `rank`.
    pub fn new(device: &Device, config: &Config, rank: usize) -> Result<Norms, DeviceError> {
        let places = Places::new(config);
        let vector = |label| device.alloc(label, 4 * (places.layer * config.layers) as u64);
        let most = Module::ALL.map(|module| module.shape(config).0).into_iter().max().unwrap_or(0);
        let zeros = |label, rows, cols| Tensor::zeros(device, label, rows, cols);
        Ok(Norms {
            squares: vector("rows' squares")?,
            summed: false,
            factors: vector("outputs' factors")?,
            inverses: vector("inverse norms")?,
            products: zeros("A by W", rank, most)?,
            square: zeros("A by A", rank, rank)?,
            gram: zeros("B by A by A", most, rank)?,
            places,
        })
    }

    /// Computes the norms anew.
    pub fn refresh(
        &mut self,
        device: &Device,
        weights: &Weights,
        parts: impl Fn(usize, Module) -> Parts,
        scale: f32,
    ) -> Result<(), DeviceError> {
        if !self.summed {
            record_squares(device, weights, &self.places, &self.squares)?;
            self.summed = true;
        }
        for (layer, linears) in weights.layers.iter().enumerate() {
            let mut rec = Recording::new();
            for module in Module::ALL {
                let (Parts { a, b, m }, w) = (parts(layer, module), linears.linear(module));
                let products = self.products.reshape(a.rows, w.rows);
                let (square, gram) = (&self.square, self.gram.reshape(w.rows, a.rows));
                kernels::linear(&mut rec, w, &a, &products, false)?;
                kernels::lora_a(&mut rec, &a, &a, square)?;
                kernels::lora_a(&mut rec, &b, square, &gram)?;
                let at = |buffer| self.places.slice(buffer, layer, module);
                let squares = &at(&self.squares);
                let of =
                    NormTerms { squares, products: &products, gram: &gram, b: &b, m: &m, scale };
                kernels::dora_norms(&mut rec, of, &at(&self.factors), &at(&self.inverses))?;
            }
            device.submit(rec)?;
        }
        Ok(())
    }

    /// c = m / n, `[out]`.
    pub fn factors(&self, layer: usize, module: Module) -> View {
        self.places.slice(&self.factors, layer, module)
    }

    /// 1 / n, `[out]`.
    pub fn inverses(&self, layer: usize, module: Module) -> View {
        self.places.slice(&self.inverses, layer, module)
    }
}

/// ‖W_i‖ for every output of every linear, by layer and module: what DoRA's magnitudes are at first.
pub async fn row_norms(
    device: &Device,
    config: &Config,
    weights: &Weights,
) -> Result<Vec<[Vec<f32>; 7]>, DeviceError> {
    let places = Places::new(config);
    let squares = device.alloc("rows' squares", 4 * (places.layer * config.layers) as u64)?;
    record_squares(device, weights, &places, &squares)?;
    let values: Vec<f32> = device.read(&squares.view()).await?;
    let of = |layer: &[f32], module: Module| -> Vec<f32> {
        let (at, len) = places.of[module as usize];
        layer[at..at + len].iter().map(|square| square.sqrt()).collect()
    };
    let layers = values.chunks(places.layer).take(config.layers);
    Ok(layers.map(|layer| Module::ALL.map(|module| of(layer, module))).collect())
}

fn record_squares(
    device: &Device,
    weights: &Weights,
    places: &Places,
    squares: &Buffer,
) -> Result<(), DeviceError> {
    let mut rec = Recording::new();
    for (layer, linears) in weights.layers.iter().enumerate() {
        for module in Module::ALL {
            let squares = places.slice(squares, layer, module);
            kernels::row_squares(&mut rec, linears.linear(module), &squares)?;
        }
    }
    device.submit(rec)
}

/// Where each linear's outputs lie in a vector of all of them.
struct Places {
    /// First value in a layer, and values.
    of: [(usize, usize); 7],
    /// Values of a layer.
    layer: usize,
}

impl Places {
    fn new(config: &Config) -> Places {
        let mut layer = 0;
        let of = Module::ALL.map(|module| {
            let (at, (outputs, _)) = (layer, module.shape(config));
            // Each starts where it can be bound: on 256 bytes.
            layer += outputs.next_multiple_of(64);
            (at, outputs)
        });
        Places { of, layer }
    }

    fn slice(&self, buffer: &Buffer, layer: usize, module: Module) -> View {
        let (at, len) = self.of[module as usize];
        buffer.slice(4 * (layer * self.layer + at) as u64, 4 * len as u64)
    }
}
