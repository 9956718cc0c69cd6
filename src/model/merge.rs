//! What an adapter does to the base's weights, as a change of their rows, on the host.
//!
//! It knows no files and no tensor types: rows come dequantized, in the order of the base's GGUF. Invariant: the model with
//! W + D in the place of W computes what the model with the adapter beside it computes, up to rounding.

use super::ModelError;
use super::adapter::Adapter;
use super::config::Config;
use super::lora::{LoraLayout, Method, Module, Slot};
use super::stack;

/// An adapter about to be merged.
pub struct Merge<'a> {
    adapter: &'a Adapter,
    layout: LoraLayout,
    layers: usize,
}

impl Merge<'_> {
    /// The merge of an adapter into the model with this configuration.
    pub fn new<'a>(config: &Config, adapter: &'a Adapter) -> Result<Merge<'a>, ModelError> {
        Ok(Merge { adapter, layout: stack::layout_of(config, adapter)?, layers: config.layers })
    }

    /// Whether the weight of a module may change; one of a layer that the model has not does not.
    pub fn changes(&self, layer: usize, module: Module) -> bool {
        if layer >= self.layers {
            return false;
        }
        let slot = self.layout.slot(layer, module);
        match self.adapter.method {
            // B is zero where an adapter sits beside other modules only.
            Method::Lora | Method::RsLora => self.b(slot).iter().any(|value| *value != 0.0),
            Method::Dora | Method::Ia3 => slot.vector_len > 0,
        }
    }

    /// The change D of rows `first..` of a module's weight: `w` and `change` are `[rows, in]`.
    pub fn change(
        &self,
        (layer, module): (usize, Module),
        first: usize,
        w: &[f32],
        change: &mut [f32],
    ) {
        let slot = self.layout.slot(layer, module);
        let rows = w.chunks(slot.inputs).zip(change.chunks_mut(slot.inputs)).enumerate();
        for (i, (w, change)) in rows {
            let row = first + i;
            match self.adapter.method {
                Method::Lora | Method::RsLora => self.update(slot, row, change),
                Method::Dora => {
                    self.update(slot, row, change);
                    self.scale_to_magnitude(slot, row, w, change);
                }
                Method::Ia3 => self.rescale(slot, module, row, w, change),
            }
        }
    }

    /// The change of a module's bias: (IA)³ scales what a linear gives, its bias included.
    pub fn change_bias(&self, (layer, module): (usize, Module), bias: &mut [f32]) {
        let slot = self.layout.slot(layer, module);
        if self.adapter.method == Method::Ia3 && module != Module::Down && slot.vector_len > 0 {
            bias.iter_mut().zip(self.vector(slot)).for_each(|(bias, l)| *bias *= l);
        }
    }

    /// Row `row` of s B A.
    fn update(&self, slot: Slot, row: usize, out: &mut [f32]) {
        let rank = self.layout.rank;
        let scale = self.adapter.method.scale(self.adapter.alpha, rank);
        let a = &self.adapter.weights[slot.a..][..rank * slot.inputs];
        out.fill(0.0);
        for (b, a) in self.b(slot)[row * rank..][..rank].iter().zip(a.chunks(slot.inputs)) {
            let factor = scale * b;
            out.iter_mut().zip(a).for_each(|(out, a)| *out += factor * a);
        }
    }

    /// From the update U to the change (m / ‖W + U‖)(W + U) - W of a row; a row of zeros stays one.
    fn scale_to_magnitude(&self, slot: Slot, row: usize, w: &[f32], change: &mut [f32]) {
        let sum = |(w, u): (&f32, &f32)| f64::from(*w) + f64::from(*u);
        let squares: f64 = w.iter().zip(&*change).map(sum).map(|x| x * x).sum();
        let magnitude = f64::from(self.vector(slot)[row]);
        let factor = if squares > 0.0 { magnitude / squares.sqrt() } else { 0.0 };
        for (w, change) in w.iter().zip(change) {
            *change = (factor * sum((w, change)) - f64::from(*w)) as f32;
        }
    }

    /// (l - 1) W: l belongs to the rows of keys and values, to the columns of down.
    fn rescale(&self, slot: Slot, module: Module, row: usize, w: &[f32], change: &mut [f32]) {
        let l = self.vector(slot);
        let l_of = |col: usize| if module == Module::Down { l[col] } else { l[row] };
        for (col, (w, change)) in w.iter().zip(change).enumerate() {
            *change = (l_of(col) - 1.0) * w;
        }
    }

    fn b(&self, slot: Slot) -> &[f32] {
        &self.adapter.weights[slot.b..][..slot.outputs * self.layout.rank]
    }

    fn vector(&self, slot: Slot) -> &[f32] {
        &self.adapter.weights[slot.vector..][..slot.vector_len]
    }
}
