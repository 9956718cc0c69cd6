//! An adapter put together from parts: pairs of several ranks and scales as pairs of one rank and one scale, exactly.
//!
//! A sum of updates s_i B_i A_i is B A with the A_i stacked and the s_i B_i side by side; a pair of a smaller rank than the
//! adapter's is padded with zeros. It knows no files. Invariant: what nobody put is zero, so a module without a pair is left
//! as the base has it.

use super::ModelError;
use super::adapter::Adapter;
use super::config::Config;
use super::lora::{LoraLayout, Method, Module};
use super::workspace::RANK_MAX;

/// An adapter in the making.
pub struct Stack {
    layout: LoraLayout,
    /// The factor that the finished adapter puts on every update.
    scale: f32,
    weights: Vec<f32>,
}

impl Stack {
    /// Room for updates of `rank` in all, which the adapter multiplies by `scale`; (IA)³'s factors are 1.
    pub fn new(
        config: &Config,
        method: Method,
        rank: usize,
        scale: f32,
    ) -> Result<Stack, ModelError> {
        if method.has_pairs() && (rank == 0 || rank > RANK_MAX) {
            return Err(ModelError::Rank { rank, max: RANK_MAX });
        }
        let layout = LoraLayout::new(config, method, rank);
        let mut weights = vec![0.0; layout.len];
        if method == Method::Ia3 {
            for (layer, module) in modules(config) {
                let slot = layout.slot(layer, module);
                weights[slot.vector..][..slot.vector_len].fill(1.0);
            }
        }
        Ok(Stack { layout, scale, weights })
    }

    /// Room for LoRA pairs of which each has its rank and scale: the largest rank, and its scale.
    pub fn of_pairs(
        config: &Config,
        pairs: impl Iterator<Item = (usize, f32)>,
    ) -> Result<Stack, ModelError> {
        // The first of the largest: an even adapter keeps its numbers.
        let (rank, scale) =
            pairs.fold((0, 1.0), |most, pair| if pair.0 > most.0 { pair } else { most });
        Stack::new(config, Method::Lora, rank, scale)
    }

    /// Puts A `[rank, in]` at ranks `at..` of a module.
    pub fn put_a(&mut self, layer: usize, module: Module, at: usize, a: &[f32]) {
        let slot = self.layout.slot(layer, module);
        assert!(a.len().is_multiple_of(slot.inputs), "whole rows of A");
        self.weights[slot.a + at * slot.inputs..][..a.len()].copy_from_slice(a);
    }

    /// Puts B `[out, rank]`, whose update has the factor `scale`, at ranks `at..` of a module.
    ///
    /// Panics where the adapter's own factor is 0 and this one is not.
    pub fn put_b(&mut self, layer: usize, module: Module, at: usize, scale: f32, b: &[f32]) {
        let slot = self.layout.slot(layer, module);
        let rank = b.len() / slot.outputs;
        assert!(b.len().is_multiple_of(slot.outputs), "whole rows of B");
        // Equal factors are not rounded, and may be 0.
        let factor = if scale == self.scale { 1.0 } else { scale / self.scale };
        assert!(factor.is_finite(), "an update of factor {scale} beside one of {}", self.scale);
        let to = &mut self.weights[slot.b..][..slot.outputs * self.layout.rank];
        for (to, from) in to.chunks_mut(self.layout.rank).zip(b.chunks(rank)) {
            to[at..at + rank].iter_mut().zip(from).for_each(|(to, from)| *to = factor * from);
        }
    }

    /// Puts the vector that the method trains beside a module.
    pub fn put_vector(&mut self, layer: usize, module: Module, vector: &[f32]) {
        let slot = self.layout.slot(layer, module);
        self.weights[slot.vector..][..slot.vector_len].copy_from_slice(vector);
    }

    /// The adapter.
    pub fn finish(self) -> Adapter {
        let LoraLayout { method, rank, .. } = self.layout;
        let alpha = match method {
            Method::Lora | Method::Dora => self.scale * rank as f32,
            Method::RsLora => self.scale * (rank as f32).sqrt(),
            Method::Ia3 => 0.0,
        };
        Adapter { method, rank, alpha, weights: self.weights }
    }
}

/// Every linear of the model.
fn modules(config: &Config) -> impl Iterator<Item = (usize, Module)> {
    (0..config.layers).flat_map(|layer| Module::ALL.map(|module| (layer, module)))
}

/// Several adapters, each with its weight, as one whose update is the weighted sum of theirs. One alone keeps its numbers: its
/// weight is in alpha.
///
/// DoRA and (IA)³ are no sums of updates: they go alone, with the weight 1.
pub fn compose(config: &Config, parts: &[(Adapter, f32)]) -> Result<Adapter, ModelError> {
    if let [(adapter, 1.0)] = parts {
        return Ok(adapter.clone());
    }
    refuse_other_than_sums(parts)?;
    if let [(adapter, weight)] = parts {
        return Ok(Adapter { alpha: weight * adapter.alpha, ..adapter.clone() });
    }
    side_by_side(config, parts)
}

/// The same, with the weights in B: sums of the same adapters have one shape whatever the weights, and what lies between two
/// of them is the sum with weights between theirs.
pub fn side_by_side(config: &Config, parts: &[(Adapter, f32)]) -> Result<Adapter, ModelError> {
    refuse_other_than_sums(parts)?;
    let rank = parts.iter().map(|(adapter, _)| adapter.rank).sum();
    let mut stack = Stack::new(config, Method::Lora, rank, 1.0)?;
    let mut at = 0;
    for (adapter, weight) in parts {
        let layout = layout_of(config, adapter)?;
        let scale = weight * adapter.method.scale(adapter.alpha, adapter.rank);
        for (layer, module) in modules(config) {
            let slot = layout.slot(layer, module);
            let part = |at: usize, length: usize| &adapter.weights[at..][..adapter.rank * length];
            stack.put_a(layer, module, at, part(slot.a, slot.inputs));
            stack.put_b(layer, module, at, scale, part(slot.b, slot.outputs));
        }
        at += adapter.rank;
    }
    Ok(stack.finish())
}

fn refuse_other_than_sums(parts: &[(Adapter, f32)]) -> Result<(), ModelError> {
    match parts.iter().find(|(adapter, _)| !adapter.method.is_sum()) {
        Some((other, _)) => Err(ModelError::Compose { method: other.method.name() }),
        None => Ok(()),
    }
}

/// The order of an adapter's values, if it has as many as the model's shape asks for.
pub fn layout_of(config: &Config, adapter: &Adapter) -> Result<LoraLayout, ModelError> {
    let layout = LoraLayout::of(config, adapter);
    let (found, wanted) = (adapter.weights.len(), layout.len);
    match found == wanted {
        true => Ok(layout),
        false => Err(ModelError::AdapterShape { rank: adapter.rank, found, wanted }),
    }
}
