//! Between the flat adapter and PEFT's tensors.
//!
//! PEFT's layout is Hugging Face's; a `llama` GGUF, unlike those of other families, has the rows of q and k permuted for
//! interleaved RoPE, so B of its q_proj and k_proj is permuted on the way in and back on the way out (A is not touched).

use super::ModelError;
use super::adapter::Adapter;
use super::config::Config;
use super::lora::{LoraLayout, Method, Module, Slot};
use crate::format::peft::{Part, PeftAdapter, PeftTensor, permute_rows, unpermute_rows};

/// Heads by which a module's output rows are permuted; none where they are not.
fn permuted_heads(config: &Config, module: Module) -> Option<usize> {
    match module {
        _ if !config.arch.interleaves_rope() => None,
        Module::Q => Some(config.heads),
        Module::K => Some(config.kv_heads),
        _ => None,
    }
}

/// A LoRA adapter as PEFT writes it. Panics if the method trains more than pairs.
pub fn to_peft(config: &Config, adapter: &Adapter) -> PeftAdapter {
    assert!(matches!(adapter.method, Method::Lora | Method::RsLora), "an adapter of pairs alone");
    let layout = LoraLayout::of(config, adapter);
    let rank = adapter.rank;
    let mut tensors = Vec::new();
    for layer in 0..config.layers {
        for module in Module::ALL {
            let Slot { a, b, inputs, outputs, .. } = layout.slot(layer, module);
            let b = &adapter.weights[b..b + outputs * rank];
            let b = match permuted_heads(config, module) {
                Some(heads) => unpermute_rows(b, heads, rank),
                None => b.to_vec(),
            };
            let a = adapter.weights[a..a + rank * inputs].to_vec();
            let tensor = |part, shape, data| PeftTensor {
                layer,
                module: module.name().to_string(),
                part,
                shape,
                data,
            };
            tensors.push(tensor(Part::A, [rank, inputs], a));
            tensors.push(tensor(Part::B, [outputs, rank], b));
        }
    }
    PeftAdapter {
        rank,
        alpha: adapter.alpha,
        use_rslora: adapter.method == Method::RsLora,
        base_model_name: String::new(),
        tensors,
    }
}

/// A PEFT adapter in the flat order; modules that it lacks have B = 0.
pub fn from_peft(config: &Config, peft: &PeftAdapter) -> Result<Adapter, ModelError> {
    let method = if peft.use_rslora { Method::RsLora } else { Method::Lora };
    let layout = LoraLayout::new(config, method, peft.rank);
    let mut weights = vec![0.0; layout.len];
    for tensor in &peft.tensors {
        let misfit = || ModelError::AdapterTensor {
            name: format!("layers.{}.{}", tensor.layer, tensor.module),
            shape: tensor.shape,
        };
        let module = Module::from_name(&tensor.module).ok_or_else(misfit)?;
        if tensor.layer >= config.layers {
            return Err(misfit());
        }
        let slot = layout.slot(tensor.layer, module);
        let (at, shape) = match tensor.part {
            Part::A => (slot.a, [peft.rank, slot.inputs]),
            Part::B => (slot.b, [slot.outputs, peft.rank]),
        };
        if tensor.shape != shape {
            return Err(misfit());
        }
        let to = &mut weights[at..at + shape[0] * shape[1]];
        match (tensor.part, permuted_heads(config, module)) {
            (Part::B, Some(heads)) => {
                to.copy_from_slice(&permute_rows(&tensor.data, heads, peft.rank));
            }
            _ => to.copy_from_slice(&tensor.data),
        }
    }
    Ok(Adapter { method, rank: peft.rank, alpha: peft.alpha, weights })
}
