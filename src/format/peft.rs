//! LoRA adapters as Hugging Face's PEFT writes them: `adapter_config.json` and
//! `adapter_model.safetensors`.
//!
//! It keeps PEFT's layout (A `[rank, in]`, B `[out, rank]`, rows of q and k in Hugging Face's
//! order); `permute_rows` turns such rows into the order of a `llama` GGUF, and the caller decides
//! when. What this program would compute differently is refused with a reason. Invariant: every A
//! has its B, and both have the adapter's rank.

use super::error::FormatError;
use super::safetensors::{NamedTensor, read_f32, write_f32};
use serde_json::{Value, json};

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

/// Most bytes of an `adapter_config.json`: one that names each of a thousand modules has 40 thousand. In memory each number
/// of a list takes 16 times its bytes.
const CONFIG_BYTES_MAX: usize = 64 << 10;

/// A LoRA adapter in PEFT's layout.
#[derive(Debug, Clone, PartialEq)]
pub struct PeftAdapter {
    /// The rank of every pair.
    pub rank: usize,
    /// LoRA's alpha.
    pub alpha: f32,
    /// Whether the update is scaled by alpha / sqrt(rank) (rsLoRA) instead of alpha / rank.
    pub use_rslora: bool,
    /// The base model's name on its hub, or empty.
    pub base_model_name: String,
    /// The tensors, by layer, module and part.
    pub tensors: Vec<PeftTensor>,
}

/// One half of a pair.
#[derive(Debug, Clone, PartialEq)]
pub struct PeftTensor {
    /// The layer, counted from 0.
    pub layer: usize,
    /// The linear, such as `q_proj`.
    pub module: String,
    /// Which half.
    pub part: Part,
    /// A: `[rank, in]`; B: `[out, rank]`.
    pub shape: [usize; 2],
    /// The values, row after row.
    pub data: Vec<f32>,
}

/// A half of a LoRA pair: the update is `x A^T B^T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// `[rank, in]`.
    A,
    /// `[out, rank]`.
    B,
}

impl PeftAdapter {
    /// The factor on the update: alpha / rank, or alpha / sqrt(rank) for rsLoRA.
    pub fn scale(&self) -> f32 {
        let rank = self.rank as f32;
        self.alpha / if self.use_rslora { rank.sqrt() } else { rank }
    }

    /// Reads the two files of an adapter.
    pub fn read(config_json: &[u8], safetensors: &[u8]) -> Result<PeftAdapter, FormatError> {
        let mut adapter = read_config(config_json)?;
        for tensor in read_f32(safetensors)? {
            adapter.tensors.push(read_tensor(tensor, adapter.rank)?);
        }
        adapter.tensors.sort_by_key(order);
        check_pairs(&adapter.tensors)?;
        Ok(adapter)
    }

    /// The two files of the adapter: `adapter_config.json`, `adapter_model.safetensors`.
    pub fn write(&self) -> (Vec<u8>, Vec<u8>) {
        let used = |module: &str| self.tensors.iter().any(|tensor| tensor.module == module);
        let targets: Vec<_> =
            MODULES.iter().map(|(_, module)| *module).filter(|module| used(module)).collect();
        // PEFT declares alpha an integer; only a fraction is written as one.
        let alpha =
            if self.alpha.fract() == 0.0 { json!(self.alpha as i64) } else { json!(self.alpha) };
        let config = json!({
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "inference_mode": true,
            "base_model_name_or_path": self.base_model_name,
            "r": self.rank, "lora_alpha": alpha, "lora_dropout": 0.0, "bias": "none",
            "fan_in_fan_out": false, "init_lora_weights": true,
            "use_rslora": self.use_rslora, "use_dora": false, "modules_to_save": null,
            "rank_pattern": {}, "alpha_pattern": {}, "layers_to_transform": null,
            "layers_pattern": null, "revision": null, "target_modules": targets,
        });
        let config = serde_json::to_vec_pretty(&config).expect("a JSON value is always written");
        let tensors: Vec<_> = self.tensors.iter().map(write_tensor).collect();
        (config, write_f32(&tensors))
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

fn read_config(config_json: &[u8]) -> Result<PeftAdapter, FormatError> {
    if config_json.len() > CONFIG_BYTES_MAX {
        let bytes = config_json.len();
        return Err(refuse(format!(
            "adapter_config.json has {bytes} bytes; real ones have a few thousand"
        )));
    }
    let config: Value = serde_json::from_slice(config_json)
        .map_err(|error| refuse(format!("adapter_config.json is no JSON: {error}")))?;
    let peft_type = config["peft_type"].as_str().unwrap_or("missing");
    if peft_type != "LORA" {
        return Err(refuse(format!("its peft_type is {peft_type}, only LORA can be read")));
    }
    let refused = [
        ("use_dora", "DoRA scales whole rows, which this reader does not keep"),
        ("rank_pattern", "all pairs must have one rank"),
        ("alpha_pattern", "all pairs must have one alpha"),
        ("modules_to_save", "it replaces whole modules of the base model"),
        ("fan_in_fan_out", "its matrices are transposed"),
        ("lora_bias", "it has biases"),
    ];
    for (key, reason) in refused {
        if is_set(&config[key]) {
            return Err(refuse(format!("its `{key}` is {}: {reason}", config[key])));
        }
    }
    let bias = config["bias"].as_str().unwrap_or("none");
    if bias != "none" {
        return Err(refuse(format!("its `bias` is {bias}; only `none` can be read")));
    }
    let rank = config["r"].as_u64().filter(|rank| (1..=4096).contains(rank));
    let rank = rank.ok_or_else(|| refuse(format!("its rank `r` is {}", config["r"])))?;
    let alpha = config["lora_alpha"].as_f64().filter(|alpha| alpha.is_finite());
    let alpha =
        alpha.ok_or_else(|| refuse(format!("its `lora_alpha` is {}", config["lora_alpha"])))?;
    Ok(PeftAdapter {
        rank: rank as usize,
        alpha: alpha as f32,
        use_rslora: is_set(&config["use_rslora"]),
        base_model_name: config["base_model_name_or_path"].as_str().unwrap_or_default().into(),
        tensors: Vec::new(),
    })
}

/// Whether a field asks for something: null, false, and empty lists and maps do not.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    }
}

/// A tensor of the file, its name taken apart.
fn read_tensor(tensor: NamedTensor, rank: usize) -> Result<PeftTensor, FormatError> {
    let NamedTensor { name, shape, data } = tensor;
    if name.contains("lora_magnitude_vector") {
        return Err(refuse(format!("it is a DoRA adapter (it has `{name}`)")));
    }
    // Some tools name the adapter within the key; PEFT itself leaves the name out when it saves.
    let plain = name.replace(".default.", ".");
    let plain = plain.strip_prefix("base_model.model.").unwrap_or(&plain);
    let fields: Vec<&str> = plain.split('.').collect();
    let ["model", "layers", layer, block, module, part, "weight"] = fields[..] else {
        return Err(refuse(format!("the tensor `{name}` belongs to no linear of a layer")));
    };
    let layer = layer.parse().ok().filter(|&layer: &usize| layer < LAYERS_MAX);
    let layer = layer.ok_or_else(|| refuse(format!("the tensor `{name}` names no layer")))?;
    if !MODULES.contains(&(block, module)) {
        let known: Vec<_> = MODULES.iter().map(|(_, module)| *module).collect();
        let known = known.join(" ");
        return Err(refuse(format!(
            "the module `{block}.{module}` of `{name}` is none of {known}"
        )));
    }
    let part = match part {
        "lora_A" => Part::A,
        "lora_B" => Part::B,
        other => return Err(refuse(format!("`{other}` of `{name}` is neither lora_A nor lora_B"))),
    };
    let shape: [usize; 2] = shape.try_into().map_err(|shape| {
        refuse(format!("the tensor `{name}` has shape {shape:?}, not two lengths"))
    })?;
    let own_rank = if part == Part::A { shape[0] } else { shape[1] };
    if own_rank != rank || shape.contains(&0) {
        return Err(refuse(format!("the tensor `{name}` is {shape:?}, but the rank is {rank}")));
    }
    Ok(PeftTensor { layer, module: module.into(), part, shape, data })
}

fn write_tensor(tensor: &PeftTensor) -> NamedTensor {
    let block = MODULES.iter().find(|(_, module)| *module == tensor.module);
    let (block, module) = block.expect("an adapter's modules are known ones");
    let part = if tensor.part == Part::A { "lora_A" } else { "lora_B" };
    let layer = tensor.layer;
    NamedTensor {
        name: format!("base_model.model.model.layers.{layer}.{block}.{module}.{part}.weight"),
        shape: tensor.shape.to_vec(),
        data: tensor.data.clone(),
    }
}

/// Tensors go by layer, then by module in the order of the forward, A before B.
fn order(tensor: &PeftTensor) -> (usize, usize, Part) {
    let module = MODULES.iter().position(|(_, module)| *module == tensor.module);
    (tensor.layer, module.unwrap_or(MODULES.len()), tensor.part)
}

/// Stops where sorted tensors are not A, B, A, B of the same linears.
fn check_pairs(tensors: &[PeftTensor]) -> Result<(), FormatError> {
    if tensors.is_empty() {
        return Err(refuse("it has no tensors"));
    }
    for pair in tensors.chunks(2) {
        let is_pair = |a: &PeftTensor, b: &PeftTensor| {
            (a.layer, &a.module, a.part, b.part) == (b.layer, &b.module, Part::A, Part::B)
        };
        match pair {
            [a, b] if is_pair(a, b) => {}
            _ => {
                let PeftTensor { layer, module, .. } = &pair[0];
                let reason =
                    format!("{module} of layer {layer} is no pair of one lora_A, one lora_B");
                return Err(refuse(reason));
            }
        }
    }
    Ok(())
}

fn refuse(reason: impl Into<String>) -> FormatError {
    FormatError::Adapter { reason: reason.into() }
}
