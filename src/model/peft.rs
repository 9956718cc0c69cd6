//! Between the flat adapter and PEFT's tensors.
//!
//! PEFT's layout is Hugging Face's; a `llama` GGUF, unlike those of other families, has the rows of q and k permuted for
//! interleaved RoPE, so what has a row for each of their outputs (B, DoRA's magnitudes, (IA)³'s factors) is permuted on the way
//! in and back on the way out (A is not touched). Invariant: what was read is written again with the same effect.

use super::ModelError;
use super::adapter::Adapter;
use super::config::Config;
use super::lora::{LoraLayout, Method, Module, Slot};
use super::stack::Stack;
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

/// The adapter as PEFT writes it.
pub fn to_peft(config: &Config, adapter: &Adapter) -> PeftAdapter {
    let layout = LoraLayout::of(config, adapter);
    let rank = layout.rank;
    let mut tensors = Vec::new();
    for layer in 0..config.layers {
        for module in Module::ALL {
            let Slot { a, b, vector, vector_len, inputs, outputs } = layout.slot(layer, module);
            let mut put = |part, at: usize, shape: [usize; 2]| {
                let values = &adapter.weights[at..][..shape[0] * shape[1]];
                let data = match permuted_heads(config, module).filter(|_| part != Part::A) {
                    Some(heads) => unpermute_rows(values, heads, shape[1]),
                    None => values.to_vec(),
                };
                let module = module.name().to_string();
                tensors.push(PeftTensor { layer, module, part, shape, data });
            };
            if adapter.method.has_pairs() {
                put(Part::A, a, [rank, inputs]);
                put(Part::B, b, [outputs, rank]);
            }
            if vector_len > 0 {
                let (part, shape) = vector_of(adapter.method, module, vector_len);
                put(part, vector, shape);
            }
        }
    }
    PeftAdapter {
        rank,
        alpha: if adapter.method.has_pairs() { adapter.alpha } else { 0.0 },
        use_rslora: adapter.method == Method::RsLora,
        base_model_name: String::new(),
        tensors,
    }
}

/// The part and the shape that PEFT gives a method's vector of `len` values beside a module.
fn vector_of(method: Method, module: Module, len: usize) -> (Part, [usize; 2]) {
    match (method, module) {
        (Method::Ia3, Module::Down) => (Part::Factors, [1, len]),
        (Method::Ia3, _) => (Part::Factors, [len, 1]),
        _ => (Part::Magnitude, [len, 1]),
    }
}

/// A PEFT adapter in the flat order. Modules that it lacks are left as the base has them: B = 0, l = 1; a DoRA adapter must
/// have all, since their magnitudes are norms of the base's rows, which are not known here.
pub fn from_peft(config: &Config, peft: &PeftAdapter) -> Result<Adapter, ModelError> {
    let method = match peft.use_rslora {
        _ if peft.has(Part::Factors) => Method::Ia3,
        _ if peft.has(Part::Magnitude) => Method::Dora,
        true => Method::RsLora,
        false => Method::Lora,
    };
    let ranks = peft.tensors.iter().filter(|tensor| tensor.part == Part::A);
    let rank = ranks.map(|tensor| tensor.shape[0]).max().unwrap_or(0);
    let mut stack = Stack::new(config, method, rank, peft.scale())?;
    let mut magnitudes = 0;
    for tensor in &peft.tensors {
        let (layer, module) = place(config, method, tensor)?;
        let permuted = match permuted_heads(config, module).filter(|_| tensor.part != Part::A) {
            Some(heads) => &permute_rows(&tensor.data, heads, tensor.shape[1]),
            None => &tensor.data,
        };
        match tensor.part {
            Part::A => stack.put_a(layer, module, 0, permuted),
            Part::B => stack.put_b(layer, module, 0, peft.scale(), permuted),
            Part::Magnitude | Part::Factors => stack.put_vector(layer, module, permuted),
        }
        magnitudes += usize::from(tensor.part == Part::Magnitude);
    }
    if method == Method::Dora && magnitudes < config.layers * Module::ALL.len() {
        return Err(ModelError::PartialDora);
    }
    let adapter = stack.finish();
    // Where the file's alpha gives the same factor, it is kept to the last bit.
    let same = method.has_pairs() && method.scale(peft.alpha, rank) == peft.scale();
    Ok(if same { Adapter { alpha: peft.alpha, ..adapter } } else { adapter })
}

/// The linear that a tensor sits beside, if it has a place there in the tensor's shape.
fn place(
    config: &Config,
    method: Method,
    tensor: &PeftTensor,
) -> Result<(usize, Module), ModelError> {
    let misfit = || ModelError::AdapterTensor {
        name: format!("layers.{}.{}", tensor.layer, tensor.module),
        shape: tensor.shape,
    };
    let module = Module::from_name(&tensor.module).ok_or_else(misfit)?;
    let (outputs, inputs) = module.shape(config);
    let [rows, cols] = tensor.shape;
    let len = method.vector_len(config, module);
    let fits = match tensor.part {
        Part::A => cols == inputs,
        Part::B => rows == outputs,
        Part::Magnitude | Part::Factors if len == 0 => {
            return Err(ModelError::NoVector { module: module.name() });
        }
        Part::Magnitude | Part::Factors => {
            (tensor.part, tensor.shape) == vector_of(method, module, len)
        }
    };
    if !fits || tensor.layer >= config.layers {
        return Err(misfit());
    }
    Ok((tensor.layer, module))
}
