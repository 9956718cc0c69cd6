//! LoRA adapters as llama.cpp keeps them: one GGUF file with a pair `NAME.lora_a`, `NAME.lora_b` beside each weight `NAME`.
//!
//! The update of `NAME` is (alpha / rank) B A in the order of rows that the base's GGUF has, so nothing is permuted. Of a file
//! only the header is read; its tensors are located. It knows no model. Invariant: both halves of a pair are there, are
//! matrices, and have one rank: what llama.cpp's loader checks without a model.

use super::error::FormatError;
use super::gguf::{Gguf, TensorInfo};
use super::gguf_value::{Metadata, Value};
use super::gguf_writer::GgufWriter;
use crate::quant::{TensorType, quantize};

/// What an adapter's file says, and where its tensors lie.
#[derive(Debug, Clone)]
pub struct GgufAdapter {
    /// The base model's architecture, such as `llama`.
    pub architecture: String,
    /// LoRA's alpha; 0, as where the file has none, stands for a scale of 1.
    pub alpha: f32,
    /// The pairs in the file's order.
    pub pairs: Vec<GgufPair>,
    /// Trained norms, which llama.cpp leaves out when it applies an adapter, and this program too.
    pub left_out: Vec<String>,
}

/// Where a pair lies.
#[derive(Debug, Clone)]
pub struct GgufPair {
    /// The weight that it sits beside, such as `blk.0.attn_q.weight`.
    pub base: String,
    /// A, `[rank, in]`.
    pub a: TensorInfo,
    /// B, `[out, rank]`.
    pub b: TensorInfo,
}

/// A pair to write.
#[derive(Debug, Clone, Copy)]
pub struct NewPair<'a> {
    /// The weight that it sits beside.
    pub base: &'a str,
    /// The rank of both halves.
    pub rank: usize,
    /// A, `[rank, in]`.
    pub a: &'a [f32],
    /// B, `[out, rank]`.
    pub b: &'a [f32],
}

impl GgufPair {
    /// Rows of A and columns of B.
    pub fn rank(&self) -> usize {
        self.a.rows()
    }
}

impl GgufAdapter {
    /// The adapter of a file.
    pub fn from_gguf(gguf: &Gguf) -> Result<GgufAdapter, FormatError> {
        let (architecture, alpha) = read_keys(gguf)?;
        let (mut pairs, mut left_out) = (Vec::new(), Vec::new());
        for tensor in &gguf.tensors {
            let name = &tensor.name;
            if let Some(base) = name.strip_suffix(".lora_a") {
                pairs.push(pair(base, tensor, other_half(gguf, base, "lora_b")?)?);
            } else if let Some(base) = name.strip_suffix(".lora_b") {
                other_half(gguf, base, "lora_a")?;
            } else if name.ends_with("_norm.weight") {
                left_out.push(name.clone());
            } else {
                return Err(refuse(format!(
                    "the tensor `{}` ends neither in .lora_a nor in .lora_b",
                    short(name)
                )));
            }
        }
        if pairs.is_empty() {
            return Err(refuse("it has no pair of .lora_a and .lora_b"));
        }
        Ok(GgufAdapter { architecture, alpha, pairs, left_out })
    }

    /// The factor on a pair's update, by llama.cpp's rule.
    pub fn scale(&self, rank: usize) -> f32 {
        if self.alpha == 0.0 { 1.0 } else { self.alpha / rank as f32 }
    }

    /// The file of an adapter in F32, whose update is (alpha / rank) B A.
    ///
    /// Panics where alpha is 0, which would be read as a scale of 1, or a half has no whole rows.
    pub fn write(architecture: &str, name: &str, alpha: f32, pairs: &[NewPair<'_>]) -> Vec<u8> {
        assert!(alpha != 0.0, "an alpha of 0 stands for a scale of 1");
        let mut writer = GgufWriter::new();
        writer
            .key("general.type", Value::String("adapter".into()))
            .key("general.architecture", Value::String(architecture.into()))
            .key("general.name", Value::String(name.into()))
            .key("adapter.type", Value::String("lora".into()))
            .key("adapter.lora.alpha", Value::F32(alpha));
        for NewPair { base, rank, a, b } in pairs {
            let whole = [a, b].map(|half| half.len().is_multiple_of(*rank));
            assert_eq!(whole, [true; 2], "whole rows of `{base}`");
            let [inputs, rank, outputs] =
                [a.len() / rank, *rank, b.len() / rank].map(|length| length as u64);
            let halves = [("lora_a", [inputs, rank], a), ("lora_b", [rank, outputs], b)];
            for (half, shape, values) in halves {
                let mut bytes = Vec::new();
                quantize(TensorType::F32, values, &mut bytes);
                writer.tensor(&format!("{base}.{half}"), TensorType::F32, &shape, bytes);
            }
        }
        writer.to_bytes()
    }
}

/// Whether a GGUF file says that it is an adapter.
pub fn is_adapter(metadata: &Metadata) -> Result<bool, FormatError> {
    Ok(metadata.opt_str("general.type")? == Some("adapter"))
}

/// The architecture and alpha, where the keys are those of a LoRA adapter.
fn read_keys(gguf: &Gguf) -> Result<(String, f32), FormatError> {
    let metadata = &gguf.metadata;
    if !is_adapter(metadata)? {
        let ty = metadata.opt_str("general.type")?.unwrap_or("model");
        let name = &gguf.name;
        return Err(refuse(format!(
            "{name} is a GGUF file of type `{}`, not `adapter`",
            short(ty)
        )));
    }
    let ty = metadata.str("adapter.type")?;
    if ty != "lora" {
        return Err(refuse(format!(
            "its adapter.type is `{}`; only `lora` can be read",
            short(ty)
        )));
    }
    if metadata.get("adapter.alora.invocation_tokens").is_some() {
        let reason = "it is an aLoRA, which works only behind certain tokens; this program applies an adapter to all";
        return Err(refuse(reason));
    }
    let alpha = metadata.opt_f32("adapter.lora.alpha")?.unwrap_or(0.0);
    if !alpha.is_finite() {
        return Err(refuse(format!("its adapter.lora.alpha is {alpha}")));
    }
    Ok((metadata.str("general.architecture")?.to_string(), alpha))
}

fn other_half<'a>(gguf: &'a Gguf, base: &str, half: &str) -> Result<&'a TensorInfo, FormatError> {
    gguf.opt_tensor(&format!("{base}.{half}"))
        .ok_or_else(|| refuse(format!("the pair of `{}` lacks its .{half}", short(base))))
}

/// A pair, if its halves belong together.
fn pair(base: &str, a: &TensorInfo, b: &TensorInfo) -> Result<GgufPair, FormatError> {
    for half in [a, b] {
        // ggml's writer drops lengths of 1 at the end: a rank of 1 leaves A one length.
        if half.shape.iter().skip(2).any(|length| *length != 1) {
            let (name, shape) = (short(&half.name), &half.shape);
            return Err(refuse(format!("the tensor `{name}` has shape {shape:?}, no matrix")));
        }
    }
    if a.rows() != b.cols() {
        return Err(refuse(format!(
            "the ranks of `{}` differ: its .lora_a is {} by {}, its .lora_b {} by {}",
            short(base),
            a.rows(),
            a.cols(),
            b.rows(),
            b.cols()
        )));
    }
    Ok(GgufPair { base: base.to_string(), a: a.clone(), b: b.clone() })
}

/// A name for a message: a lying file must not fill the screen.
fn short(name: &str) -> String {
    name.chars().take(64).collect()
}

fn refuse(reason: impl Into<String>) -> FormatError {
    FormatError::Adapter { reason: reason.into() }
}
