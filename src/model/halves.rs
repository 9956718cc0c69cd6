//! The adapter as decoding reads it: each layer's factors A and B in half floats, one layer after another, and beside them
//! in f32 what the method multiplies outputs with.
//!
//! A decoded token reads the whole adapter, so its bytes count beside quantized weights; training, scoring and prompts
//! keep the f32 numbers. The scale is in B. Invariant: `packed` says whether the copy has the adapter's numbers of now.

use super::config::Config;
use super::method::Method;
use super::module::Module;
use crate::device::{Buffer, Device, DeviceError, Recording, View};
use crate::kernels::{self, Factors, OutputFactors, packed_rank};
use crate::tensor::Tensor;

/// Fours of half floats between places that can be bound: 256 bytes.
const STEP: usize = 32;

/// The place of a linear's parts in its layer, in fours of half floats.
#[derive(Debug, Clone, Copy)]
struct Place {
    a: usize,
    b: usize,
    /// Where its outputs' factors are, and how many fours they take.
    factors: usize,
    factor_fours: usize,
}

/// What a linear's part of the copy is made of.
pub struct Source {
    /// A and B.
    pub pair: Option<[Tensor; 2]>,
    /// What its outputs are multiplied with, f32 `[out]`.
    pub factors: Option<View>,
}

/// The copy.
pub struct Halves {
    buffer: Buffer,
    method: Method,
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
    method: Method,
    rank: usize,
    places: [Place; 7],
}

impl Halves {
    /// Room for the copy of an adapter of `method` and `rank`.
    pub fn new(
        device: &Device,
        config: &Config,
        method: Method,
        rank: usize,
    ) -> Result<Halves, DeviceError> {
        let rank = packed_rank(rank);
        let mut end = 0usize;
        let places = Module::ALL.map(|module| {
            let (outputs, inputs) = module.shape(config);
            let a = end.next_multiple_of(STEP);
            let b = a + rank * inputs / 4;
            let factors = (b + rank * outputs / 4).next_multiple_of(STEP);
            let factor_fours = if multiplies(method, module) { outputs.div_ceil(2) } else { 0 };
            end = factors + factor_fours;
            Place { a, b, factors, factor_fours }
        });
        let layer = 8 * end.next_multiple_of(STEP) as u64;
        let buffer = device.alloc("adapter's copy", layer * config.layers as u64)?;
        let layers = config.layers;
        Ok(Halves { buffer, method, rank, places, layer, layers, packed: false })
    }

    /// The adapter's numbers changed.
    pub fn outdate(&mut self) {
        self.packed = false;
    }

    /// Makes the copy of what each layer and module has, where it is outdated.
    pub fn refresh(
        &mut self,
        device: &Device,
        source: impl Fn(usize, Module) -> Source,
        scale: f32,
    ) -> Result<(), DeviceError> {
        if self.packed {
            return Ok(());
        }
        let mut rec = Recording::new();
        for layer in 0..self.layers {
            for module in Module::ALL {
                let Place { a: start, factors, factor_fours, .. } = self.places[module as usize];
                let slice = |start: usize, bytes: u64| {
                    self.buffer.slice(layer as u64 * self.layer + 8 * start as u64, bytes)
                };
                let of = source(layer, module);
                if let Some([a, b]) = of.pair {
                    let halves = slice(start, 8 * (factors - start) as u64);
                    kernels::lora_pack(&mut rec, &a, &b, scale, &halves)?;
                }
                if let Some(values) = of.factors {
                    rec.copy(&values, &slice(factors, values.bytes));
                } else if factor_fours > 0 {
                    // Queries, beside keys and values that (IA)³ multiplies.
                    let ones = vec![1f32; 2 * factor_fours];
                    device.write(&self.buffer, slice(factors, 0).offset, &ones)?;
                }
            }
        }
        device.submit(rec)?;
        self.packed = true;
        Ok(())
    }

    /// A layer's part of it.
    pub fn layer(&self, layer: usize) -> LayerHalves {
        let view = self.buffer.slice(layer as u64 * self.layer, self.layer);
        LayerHalves { view, method: self.method, rank: self.rank, places: self.places }
    }
}

impl LayerHalves {
    /// The factors A of up to three modules, where there are pairs.
    pub fn a(&self, modules: &[Module]) -> Option<Factors<'_>> {
        let at = starts(modules.iter().map(|module| self.places[*module as usize].a));
        (self.rank > 0).then(|| self.factors(at, None))
    }

    /// The factors B of up to three modules, and what their outputs are multiplied with, where there is either.
    pub fn b(&self, modules: &[Module]) -> Option<Factors<'_>> {
        let at = starts(modules.iter().map(|module| self.places[*module as usize].b));
        let outputs = self.outputs(modules);
        (self.rank > 0 || outputs.is_some()).then(|| self.factors(at, outputs))
    }

    /// B of gate and up, then A of down; and what the outputs of gate and up are multiplied with. None without pairs.
    pub fn feed(&self) -> Option<Factors<'_>> {
        let place = |module: Module| self.places[module as usize];
        let at = [place(Module::Gate).b, place(Module::Up).b, place(Module::Down).a];
        (self.rank > 0).then(|| self.factors(at, self.outputs(&[Module::Gate, Module::Up])))
    }

    fn factors(&self, at: [usize; 3], outputs: Option<OutputFactors>) -> Factors<'_> {
        Factors { halves: &self.view, rank: self.rank, at, outputs }
    }

    fn outputs(&self, modules: &[Module]) -> Option<OutputFactors> {
        let places = || modules.iter().map(|module| self.places[*module as usize]);
        let at = starts(places().map(|place| place.factors));
        let biased = self.method == Method::Ia3;
        places().all(|place| place.factor_fours > 0).then_some(OutputFactors { at, biased })
    }
}

fn starts(places: impl Iterator<Item = usize>) -> [usize; 3] {
    let mut at = [0; 3];
    at.iter_mut().zip(places).for_each(|(at, start)| *at = start);
    at
}

/// Does decoding multiply this linear's outputs? (IA)³ has no factors for queries, but one dispatch takes them with keys
/// and values.
fn multiplies(method: Method, module: Module) -> bool {
    match method {
        Method::Lora | Method::RsLora => false,
        Method::Dora => true,
        Method::Ia3 => matches!(module, Module::Q | Module::K | Module::V),
    }
}
