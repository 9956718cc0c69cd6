//! Which type each tensor of a model gets when the model is quantized anew.
//!
//! Roughly llama.cpp's choice without `--pure`: norms and other vectors stay as they are; the matrix that the logits
//! come from gets Q6_K (or Q8_0); of a model in Q4_K or Q5_K, half of the layers' value and down projections get Q6_K
//! (the `_M` mixes). It reads names and shapes only. Invariant: every row of a chosen type is whole blocks.

use super::gguf::{Gguf, TensorInfo};
use crate::quant::TensorType;

/// Most layers that a tensor's name may speak of.
const LAYERS_MAX: usize = 1024;

/// The types of a file's tensors once it is quantized to `wanted`, in the file's order. With `pure`, every matrix gets
/// `wanted` itself where its rows are whole blocks of it.
pub fn plan(gguf: &Gguf, wanted: TensorType, pure: bool) -> Vec<TensorType> {
    let layer = |tensor: &TensorInfo| layer_of(&tensor.name);
    let layers = gguf.tensors.iter().filter_map(layer).max().map_or(0, |last| last + 1);
    // Without a matrix of its own, the head is the embedding.
    let head = match gguf.opt_tensor("output.weight") {
        Some(_) => "output.weight",
        None => "token_embd.weight",
    };
    let choose = |tensor: &TensorInfo| {
        if !is_matrix(tensor) {
            return tensor.ty;
        }
        let ty = if pure { wanted } else { mixed(tensor, wanted, layers, head) };
        fitting(ty, tensor.cols())
    };
    gguf.tensors.iter().map(choose).collect()
}

/// GGUF's number for the kind of file that `plan` makes (`general.file_type`).
pub fn file_type(wanted: TensorType, pure: bool) -> u32 {
    match wanted {
        TensorType::F32 => 0,
        TensorType::F16 => 1,
        TensorType::Q4_0 => 2,
        TensorType::Q4_1 => 3,
        TensorType::Q8_0 => 7,
        TensorType::Q5_0 => 8,
        TensorType::Q5_1 => 9,
        // Small and medium mixes: without the larger types the file is the small one.
        TensorType::Q4K => 14 + u32::from(!pure),
        TensorType::Q5K => 16 + u32::from(!pure),
        TensorType::Q6K => 18,
        TensorType::BF16 => 32,
    }
}

/// What is quantized: weights of two dimensions that are no norms.
fn is_matrix(tensor: &TensorInfo) -> bool {
    tensor.shape.len() == 2 && tensor.name.ends_with(".weight") && !tensor.name.contains("norm")
}

fn mixed(tensor: &TensorInfo, wanted: TensorType, layers: usize, head: &str) -> TensorType {
    if !wanted.is_quantized() || wanted == TensorType::Q8_0 {
        return wanted;
    }
    let name = tensor.name.as_str();
    if name == head {
        return TensorType::Q6K;
    }
    let is_k = matches!(wanted, TensorType::Q4K | TensorType::Q5K);
    let is_sensitive = name.ends_with(".attn_v.weight") || name.ends_with(".ffn_down.weight");
    let is_raised = layer_of(name).is_some_and(|layer| gets_more_bits(layer, layers));
    if is_k && is_sensitive && is_raised { TensorType::Q6K } else { wanted }
}

/// The first and the last eighth of the layers, and every third between them.
fn gets_more_bits(layer: usize, layers: usize) -> bool {
    let eighth = layers / 8;
    layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2
}

/// `ty`, or its stand-in where rows of `cols` elements are no multiple of 256; F16 where they are none of 32 either.
pub fn fitting(ty: TensorType, cols: usize) -> TensorType {
    if cols.is_multiple_of(ty.block_len()) {
        return ty;
    }
    let stand_in = match ty {
        TensorType::Q4K => TensorType::Q5_0,
        TensorType::Q5K => TensorType::Q5_1,
        _ => TensorType::Q8_0,
    };
    if cols.is_multiple_of(stand_in.block_len()) { stand_in } else { TensorType::F16 }
}

/// The layer in a name such as `blk.7.attn_q.weight`.
fn layer_of(name: &str) -> Option<usize> {
    let layer = name.strip_prefix("blk.")?.split('.').next()?.parse().ok()?;
    (layer < LAYERS_MAX).then_some(layer)
}
