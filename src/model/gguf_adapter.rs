//! Between the flat adapter and llama.cpp's GGUF adapters.
//!
//! Both have the rows in the order of the base's GGUF, so numbers go over as they are; pairs of several ranks are padded. What
//! the loader of llama.cpp checks against the model is checked here, before a value is read. Invariant: an adapter that was
//! written is read back with the same update.

use super::ModelError;
use super::adapter::Adapter;
use super::config::Config;
use super::lora::{Method, Module};
use super::stack::{self, Stack};
use crate::format::error::FormatError;
use crate::format::gguf::TensorInfo;
use crate::format::gguf_adapter::{GgufAdapter, GgufPair, NewPair};
use crate::format::source::Source;
use crate::quant::dequantize;

/// The adapter of a file in the flat order; modules that it lacks have B = 0. Values of any tensor type are widened.
pub async fn from_gguf(
    config: &Config,
    adapter: &GgufAdapter,
    source: &mut dyn Source,
) -> Result<Adapter, ModelError> {
    if adapter.architecture != config.arch.name() {
        let (found, wanted) = (adapter.architecture.clone(), config.arch.name());
        return Err(ModelError::AdapterArchitecture { found, wanted });
    }
    // All of them, before there is room for any value.
    let places: Result<Vec<(usize, Module)>, ModelError> =
        adapter.pairs.iter().map(|pair| place(config, pair)).collect();
    let places = places?;
    let ranks = adapter.pairs.iter().map(|pair| (pair.rank(), adapter.scale(pair.rank())));
    let mut stack = Stack::of_pairs(config, ranks)?;
    for ((layer, module), pair) in places.into_iter().zip(&adapter.pairs) {
        stack.put_a(layer, module, 0, &values(&pair.a, source).await?);
        let scale = adapter.scale(pair.rank());
        stack.put_b(layer, module, 0, scale, &values(&pair.b, source).await?);
    }
    Ok(stack.finish())
}

/// The file of an adapter. What the format has no words for is refused.
pub fn to_gguf(config: &Config, adapter: &Adapter) -> Result<Vec<u8>, ModelError> {
    let refuse = |reason| Err(ModelError::NoGgufForm { reason });
    match adapter.method {
        Method::Lora | Method::RsLora => {}
        Method::Dora => return refuse("DoRA's magnitudes"),
        Method::Ia3 => return refuse("(IA)³'s vectors"),
    }
    // rsLoRA's factor alpha / sqrt(r) becomes alpha' / r.
    let alpha = adapter.method.scale(adapter.alpha, adapter.rank) * adapter.rank as f32;
    if alpha == 0.0 {
        return refuse("a scale of 0 (an alpha of 0 stands for a scale of 1)");
    }
    let layout = stack::layout_of(config, adapter)?;
    let modules = (0..config.layers).flat_map(|layer| Module::ALL.map(|module| (layer, module)));
    let named: Vec<_> = modules
        .map(|(layer, module)| (module.weight_name(layer), layout.slot(layer, module)))
        .collect();
    let rank = adapter.rank;
    let part = |at: usize, length: usize| &adapter.weights[at..][..rank * length];
    let pairs: Vec<NewPair> = named
        .iter()
        .map(|(base, slot)| NewPair {
            base,
            rank,
            a: part(slot.a, slot.inputs),
            b: part(slot.b, slot.outputs),
        })
        .collect();
    Ok(GgufAdapter::write(config.arch.name(), &config.name, alpha, &pairs))
}

/// The linear that a pair sits beside, if the model has it in the pair's shape.
fn place(config: &Config, pair: &GgufPair) -> Result<(usize, Module), ModelError> {
    let place = Module::of_weight(&pair.base).filter(|(layer, _)| *layer < config.layers);
    let Some((layer, module)) = place else {
        return Err(ModelError::AdapterLinear { name: pair.base.chars().take(64).collect() });
    };
    let (outputs, inputs) = module.shape(config);
    let fits = [(&pair.a, pair.a.cols() == inputs), (&pair.b, pair.b.rows() == outputs)];
    match fits.into_iter().find(|(_, fits)| !fits) {
        Some((half, _)) => Err(ModelError::AdapterTensor {
            name: half.name.clone(),
            shape: [half.rows(), half.cols()],
        }),
        None => Ok((layer, module)),
    }
}

async fn values(info: &TensorInfo, source: &mut dyn Source) -> Result<Vec<f32>, FormatError> {
    let mut raw = vec![0; info.bytes as usize];
    source.read_at(info.offset, &mut raw).await?;
    let mut values = vec![0.0; info.rows() * info.cols()];
    dequantize(info.ty, &raw, &mut values);
    Ok(values)
}
