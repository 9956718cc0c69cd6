//! The adapter as decoding reads it: each layer's factors in half floats, one layer after another.
//!
//! A decoded token reads the whole adapter, so its bytes count beside quantized weights; training, scoring and prompts
//! keep the f32 numbers. The scale alpha / r is in B. Invariant: `packed` says whether the copy has the adapter's numbers
//! of now.

use super::config::Config;
use super::module::Module;
use crate::device::{Buffer, Device, DeviceError, Recording, View};
use crate::kernels::{self, Factors, packed_rank};
use crate::tensor::Tensor;

/// Fours of half floats between places that can be bound: 256 bytes.
const STEP: usize = 32;

/// A pair's place in its layer, in fours of half floats.
#[derive(Debug, Clone, Copy)]
struct Place {
    a: usize,
    b: usize,
    end: usize,
}

/// The copy.
pub struct Halves {
    buffer: Buffer,
    rank: usize,
    places: [Place; 7],
    /// Bytes of a layer.
    layer: u64,
    layers: usize,
    packed: bool,
}

/// One layer's copy.
pub struct LayerHalves {
    view: View,
    rank: usize,
    places: [Place; 7],
}

impl Halves {
    /// Room for the copy of an adapter of rank `rank`.
    pub fn new(device: &Device, config: &Config, rank: usize) -> Result<Halves, DeviceError> {
        let rank = packed_rank(rank);
        let mut end = 0usize;
        let places = Module::ALL.map(|module| {
            let (outputs, inputs) = module.shape(config);
            let a = end.next_multiple_of(STEP);
            let b = a + rank * inputs / 4;
            end = b + rank * outputs / 4;
            Place { a, b, end }
        });
        let layer = 8 * end.next_multiple_of(STEP) as u64;
        let buffer = device.alloc("adapter's copy", layer * config.layers as u64)?;
        Ok(Halves { buffer, rank, places, layer, layers: config.layers, packed: false })
    }

    /// The adapter's numbers changed.
    pub fn outdate(&mut self) {
        self.packed = false;
    }

    /// Makes the copy of the pairs A, B of each layer and module, where it is outdated.
    pub fn refresh(
        &mut self,
        device: &Device,
        pair: impl Fn(usize, Module) -> [Tensor; 2],
        scale: f32,
    ) -> Result<(), DeviceError> {
        if self.packed {
            return Ok(());
        }
        let mut rec = Recording::new();
        for layer in 0..self.layers {
            for module in Module::ALL {
                let [a, b] = pair(layer, module);
                let Place { a: start, end, .. } = self.places[module as usize];
                let at = layer as u64 * self.layer + 8 * start as u64;
                let halves = self.buffer.slice(at, 8 * (end - start) as u64);
                kernels::lora_pack(&mut rec, &a, &b, scale, &halves)?;
            }
        }
        device.submit(rec)?;
        self.packed = true;
        Ok(())
    }

    /// A layer's part of it.
    pub fn layer(&self, layer: usize) -> LayerHalves {
        let view = self.buffer.slice(layer as u64 * self.layer, self.layer);
        LayerHalves { view, rank: self.rank, places: self.places }
    }
}

impl LayerHalves {
    /// The factors A of up to three modules.
    pub fn a(&self, modules: &[Module]) -> Factors<'_> {
        self.factors(modules.iter().map(|module| self.places[*module as usize].a))
    }

    /// The factors B of up to three modules.
    pub fn b(&self, modules: &[Module]) -> Factors<'_> {
        self.factors(modules.iter().map(|module| self.places[*module as usize].b))
    }

    /// B of gate and up, then A of down.
    pub fn feed(&self) -> Factors<'_> {
        let place = |module: Module| self.places[module as usize];
        self.factors([place(Module::Gate).b, place(Module::Up).b, place(Module::Down).a])
    }

    fn factors(&self, starts: impl IntoIterator<Item = usize>) -> Factors<'_> {
        let mut at = [0; 3];
        at.iter_mut().zip(starts).for_each(|(at, start)| *at = start);
        Factors { halves: &self.view, rank: self.rank, at }
    }
}
