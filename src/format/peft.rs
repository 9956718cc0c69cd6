//! Adapters as Hugging Face's PEFT writes them, LoRA with its kin and (IA)³: `adapter_config.json` and
//! `adapter_model.safetensors`.
//!
//! It keeps PEFT's layout (A `[rank, in]`, B `[out, rank]`, rows of q and k in Hugging Face's order); `permute_rows` turns such
//! rows into the order of a `llama` GGUF, and the caller decides when. Invariant: every A has its B of the same rank, and the
//! update of every pair has the adapter's one factor: B of a pair with another is rescaled on the way in.

use super::error::FormatError;
use super::peft_config::PeftConfig;
use super::safetensors::{NamedTensor, read_f32, write_f32};

/// The linears that an adapter may sit beside, with the block that they belong to, in the order of
/// a layer's forward.
pub const MODULES: [(&str, &str); 7] = [
    ("self_attn", "q_proj"),
    ("self_attn", "k_proj"),
    ("self_attn", "v_proj"),
    ("self_attn", "o_proj"),
    ("mlp", "gate_proj"),
    ("mlp", "up_proj"),
    ("mlp", "down_proj"),
];

/// Most layers that a tensor's name may speak of; the largest models have under 200.
const LAYERS_MAX: usize = 1024;

/// An adapter in PEFT's layout. Its tensors say what it is: with magnitudes it is DoRA, with vectors alone (IA)³.
#[derive(Debug, Clone, PartialEq)]
pub struct PeftAdapter {
    /// The rank that the scale is of: every pair's, unless the file had a pattern of ranks; 0 for (IA)³.
    pub rank: usize,
    /// LoRA's alpha; 0 for (IA)³.
    pub alpha: f32,
    /// Whether the update is scaled by alpha / sqrt(rank) (rsLoRA) instead of alpha / rank.
    pub use_rslora: bool,
    /// The base model's name on its hub, or empty.
    pub base_model_name: String,
    /// The tensors, by layer, module and part.
    pub tensors: Vec<PeftTensor>,
}

/// One part of what sits beside a linear.
#[derive(Debug, Clone, PartialEq)]
pub struct PeftTensor {
    /// The layer, counted from 0.
    pub layer: usize,
    /// The linear, such as `q_proj`.
    pub module: String,
    /// Which part.
    pub part: Part,
    /// A: `[rank, in]`; B: `[out, rank]`; magnitudes: `[out, 1]`; (IA)³'s l: `[out, 1]`, or `[1, in]` where it scales inputs.
    pub shape: [usize; 2],
    /// The values, row after row.
    pub data: Vec<f32>,
}

/// A part of an adapter. A LoRA pair's update is `x A^T B^T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// `[rank, in]`.
    A,
    /// `[out, rank]`.
    B,
    /// DoRA's norms of rows, `[out, 1]`.
    Magnitude,
    /// (IA)³'s factors l, of outputs or of inputs.
    Factors,
}

impl Part {
    /// All of them.
    const ALL: [Part; 4] = [Part::A, Part::B, Part::Magnitude, Part::Factors];

    /// PEFT's name of it.
    fn name(self) -> &'static str {
        match self {
            Part::A => "lora_A",
            Part::B => "lora_B",
            Part::Magnitude => "lora_magnitude_vector",
            Part::Factors => "ia3_l",
        }
    }
}

impl PeftAdapter {
    /// The factor on every update: alpha / rank, or alpha / sqrt(rank) for rsLoRA.
    pub fn scale(&self) -> f32 {
        let rank = self.rank as f32;
        self.alpha / if self.use_rslora { rank.sqrt() } else { rank }
    }

    /// Whether there are tensors of a part.
    pub fn has(&self, part: Part) -> bool {
        self.tensors.iter().any(|tensor| tensor.part == part)
    }

    /// Reads the two files of an adapter.
    pub fn read(config_json: &[u8], safetensors: &[u8]) -> Result<PeftAdapter, FormatError> {
        let config = PeftConfig::read(config_json)?;
        let tensors: Result<Vec<_>, _> =
            read_f32(safetensors)?.into_iter().map(|tensor| read_tensor(tensor, &config)).collect();
        let mut tensors = tensors?;
        tensors.sort_by_key(order);
        check_parts(&tensors, &config)?;
        let PeftConfig { rank, alpha, use_rslora, base_model_name, .. } = config.clone();
        let mut adapter = PeftAdapter { rank, alpha, use_rslora, base_model_name, tensors };
        even_scales(&mut adapter, &config)?;
        Ok(adapter)
    }

    /// The two files of the adapter: `adapter_config.json`, `adapter_model.safetensors`.
    pub fn write(&self) -> (Vec<u8>, Vec<u8>) {
        let used = |module: &str| self.tensors.iter().any(|tensor| tensor.module == module);
        let targets: Vec<_> =
            MODULES.iter().map(|(_, module)| *module).filter(|module| used(module)).collect();
        let config = PeftConfig {
            is_ia3: self.has(Part::Factors),
            rank: self.rank,
            alpha: self.alpha,
            use_rslora: self.use_rslora,
            use_dora: self.has(Part::Magnitude),
            base_model_name: self.base_model_name.clone(),
            ..PeftConfig::default()
        };
        let tensors: Vec<_> = self.tensors.iter().map(write_tensor).collect();
        (config.write(&targets), write_f32(&tensors))
    }
}

/// Rows of q or k from Hugging Face's order into a `llama` GGUF's: of each head, row `2 i + p` of
/// the GGUF is row `p * (head_dim / 2) + i`. `rows` is `[n_heads * head_dim, cols]`: a weight, or a
/// LoRA's B.
///
/// Panics where `rows` is not that long for an even `head_dim`.
pub fn permute_rows(rows: &[f32], n_heads: usize, cols: usize) -> Vec<f32> {
    let sources = permutation(rows.len() / cols, n_heads);
    assert_eq!(rows.len(), sources.len() * cols, "whole rows");
    sources.iter().flat_map(|source| &rows[source * cols..][..cols]).copied().collect()
}

/// The inverse of [`permute_rows`]: a GGUF's rows into Hugging Face's order.
pub fn unpermute_rows(rows: &[f32], n_heads: usize, cols: usize) -> Vec<f32> {
    let sources = permutation(rows.len() / cols, n_heads);
    assert_eq!(rows.len(), sources.len() * cols, "whole rows");
    let mut out = vec![0.0; rows.len()];
    for (row, source) in rows.chunks_exact(cols).zip(sources) {
        out[source * cols..][..cols].copy_from_slice(row);
    }
    out
}

/// Row `i` of the GGUF is row `permutation[i]` of Hugging Face's.
fn permutation(n_rows: usize, n_heads: usize) -> Vec<usize> {
    let head_dim = n_rows / n_heads;
    assert_eq!(head_dim * n_heads, n_rows, "whole heads");
    assert_eq!(head_dim % 2, 0, "rotary heads have pairs");
    let half = head_dim / 2;
    (0..n_rows)
        .map(|row| {
            let (head, within) = (row / head_dim, row % head_dim);
            head * head_dim + (within % 2) * half + within / 2
        })
        .collect()
}

/// A tensor of the file, its name taken apart.
fn read_tensor(tensor: NamedTensor, config: &PeftConfig) -> Result<PeftTensor, FormatError> {
    let NamedTensor { name, shape, data } = tensor;
    let (layer, module, part) = place(&name)?;
    let shape: [usize; 2] = match (part, shape.as_slice()) {
        // PEFT keeps magnitudes without a second length.
        (Part::Magnitude, &[rows]) => [rows, 1],
        (_, &[rows, cols]) => [rows, cols],
        _ => {
            return Err(refuse(format!(
                "the tensor `{name}` has shape {shape:?}, not two lengths"
            )));
        }
    };
    let own_rank = match part {
        Part::A => Some(shape[0]),
        Part::B => Some(shape[1]),
        Part::Magnitude | Part::Factors => None,
    };
    if let Some(own_rank) = own_rank
        && !config.is_ia3
    {
        let rank = config.rank_of(&path(layer, module))?;
        if own_rank != rank {
            return Err(refuse(format!(
                "the tensor `{name}` is {shape:?}, but the rank is {rank}"
            )));
        }
    }
    if shape.contains(&0) || (own_rank.is_none() && !shape.contains(&1)) {
        return Err(refuse(format!("the tensor `{name}` has shape {shape:?}")));
    }
    Ok(PeftTensor { layer, module: module.into(), part, shape, data })
}

/// The layer, the module and the part that a tensor's name speaks of.
fn place(name: &str) -> Result<(usize, &'static str, Part), FormatError> {
    // Some tools name the adapter within the key; PEFT itself leaves the name out when it saves.
    let plain = name.replace(".default.", ".");
    let plain = plain.strip_suffix(".default").unwrap_or(&plain);
    let plain = plain.strip_prefix("base_model.model.").unwrap_or(plain);
    let fields: Vec<&str> = plain.split('.').collect();
    let (["model", "layers", layer, block, module, part, "weight"]
    | ["model", "layers", layer, block, module, part]) = fields[..]
    else {
        return Err(refuse(format!("the tensor `{name}` belongs to no linear of a layer")));
    };
    let layer = layer.parse().ok().filter(|&layer: &usize| layer < LAYERS_MAX);
    let layer = layer.ok_or_else(|| refuse(format!("the tensor `{name}` names no layer")))?;
    let Some((_, module)) = MODULES.into_iter().find(|known| *known == (block, module)) else {
        let known: Vec<_> = MODULES.iter().map(|(_, module)| *module).collect();
        let known = known.join(" ");
        return Err(refuse(format!(
            "the module `{block}.{module}` of `{name}` is none of {known}"
        )));
    };
    let Some(part) = Part::ALL.into_iter().find(|known| known.name() == part) else {
        let known = Part::ALL.map(Part::name).join(" ");
        return Err(refuse(format!("`{part}` of `{name}` is none of {known}")));
    };
    Ok((layer, module, part))
}

/// A module's name in the base model, as PEFT's patterns see it.
fn path(layer: usize, module: &str) -> String {
    let block = MODULES.iter().find(|(_, known)| *known == module);
    let (block, module) = block.expect("an adapter's modules are known ones");
    format!("model.layers.{layer}.{block}.{module}")
}

fn write_tensor(tensor: &PeftTensor) -> NamedTensor {
    let part = tensor.part.name();
    // PEFT's matrices are modules with a weight, its vectors are parameters.
    let (suffix, shape) = match tensor.part {
        Part::A | Part::B => (".weight", tensor.shape.to_vec()),
        Part::Magnitude => ("", vec![tensor.shape[0]]),
        Part::Factors => ("", tensor.shape.to_vec()),
    };
    let path = path(tensor.layer, &tensor.module);
    NamedTensor {
        name: format!("base_model.model.{path}.{part}{suffix}"),
        shape,
        data: tensor.data.clone(),
    }
}

/// Tensors go by layer, then by module in the order of the forward, A before B.
fn order(tensor: &PeftTensor) -> (usize, usize, Part) {
    let module = MODULES.iter().position(|(_, module)| *module == tensor.module);
    (tensor.layer, module.unwrap_or(MODULES.len()), tensor.part)
}

/// Stops where sorted tensors are not, linear by linear, the parts of the adapter's method.
fn check_parts(tensors: &[PeftTensor], config: &PeftConfig) -> Result<(), FormatError> {
    let wanted: &[Part] = match config {
        PeftConfig { is_ia3: true, .. } => &[Part::Factors],
        PeftConfig { use_dora: true, .. } => &[Part::A, Part::B, Part::Magnitude],
        _ => &[Part::A, Part::B],
    };
    if tensors.is_empty() {
        return Err(refuse("it has no tensors"));
    }
    let same = |a: &PeftTensor, b: &PeftTensor| (a.layer, &a.module) == (b.layer, &b.module);
    for linear in tensors.chunk_by(same) {
        if !linear.iter().map(|tensor| tensor.part).eq(wanted.iter().copied()) {
            let PeftTensor { layer, module, .. } = &linear[0];
            let names = |parts: &mut dyn Iterator<Item = Part>| {
                parts.map(Part::name).take(8).collect::<Vec<_>>().join(", ")
            };
            let found = names(&mut linear.iter().map(|tensor| tensor.part));
            let wanted = names(&mut wanted.iter().copied());
            return Err(refuse(format!("{module} of layer {layer} has {found}, not {wanted}")));
        }
    }
    Ok(())
}

/// Rescales B of pairs whose factor, by the file's patterns, is not the adapter's.
fn even_scales(adapter: &mut PeftAdapter, config: &PeftConfig) -> Result<(), FormatError> {
    let scale = adapter.scale();
    for tensor in adapter.tensors.iter_mut().filter(|tensor| tensor.part == Part::B) {
        let path = path(tensor.layer, &tensor.module);
        let own = config.scale_of(&path, tensor.shape[1])?;
        if own != scale {
            let factor = own / scale;
            if !factor.is_finite() {
                return Err(refuse(format!(
                    "the alpha of {path} is not 0, but that of modules without a pattern is"
                )));
            }
            tensor.data.iter_mut().for_each(|value| *value *= factor);
        }
    }
    Ok(())
}

fn refuse(reason: impl Into<String>) -> FormatError {
    FormatError::Adapter { reason: reason.into() }
}
