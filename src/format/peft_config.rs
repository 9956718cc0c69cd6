//! `adapter_config.json` as PEFT writes it: what it says of a LoRA, rsLoRA, DoRA or (IA)³ adapter.
//!
//! What this program would compute differently is refused with the key and the reason. It knows no tensors. Invariant: a
//! configuration that was read needs nothing beyond pairs A, B, magnitudes and (IA)³'s vectors.

use super::error::FormatError;
use serde_json::{Map, Value, json};

/// Most bytes of the file: one that names each of a thousand modules has 40 thousand. In memory each number of a list takes
/// 16 times its bytes.
const CONFIG_BYTES_MAX: usize = 64 << 10;

/// Largest rank that is believed.
const RANK_MAX: u64 = 4096;

/// Keys that ask for what this program does not do, where they ask for anything.
const REFUSED: [(&str, &str); 10] = [
    ("modules_to_save", "it replaces whole modules of the base model"),
    ("fan_in_fan_out", "its matrices are transposed"),
    ("lora_bias", "it has biases"),
    ("trainable_token_indices", "it replaces rows of the embedding"),
    ("layer_replication", "it repeats layers of the base model"),
    ("alora_invocation_tokens", "it works only behind certain tokens (aLoRA)"),
    ("use_qalora", "its A reads sums of inputs (QALoRA)"),
    ("use_bdlora", "its matrices are block diagonal (BD-LoRA)"),
    ("arrow_config", "it chooses between adapters by the input (Arrow)"),
    ("target_parameters", "it changes parameters that are no linears"),
];

/// Ways of beginning a LoRA that change the base's weights: the adapter alone is of no use with the base as it came.
const CHANGES_BASE: [&str; 5] = ["pissa", "olora", "corda", "loftq", "lora_ga"];

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PeftConfig {
    /// Whether it is (IA)³; else it is a LoRA.
    pub is_ia3: bool,
    /// The rank of pairs whose module no pattern names; 0 for (IA)³.
    pub rank: usize,
    /// LoRA's alpha of such pairs; 0 for (IA)³.
    pub alpha: f32,
    /// Whether the update is scaled by alpha / sqrt(rank) instead of alpha / rank.
    pub use_rslora: bool,
    /// Whether rows are scaled to a magnitude (DoRA).
    pub use_dora: bool,
    /// The base model's name on its hub, or empty.
    pub base_model_name: String,
    /// Ranks of modules by the end of their names.
    pub rank_pattern: Vec<(String, f32)>,
    /// Alphas, the same way.
    pub alpha_pattern: Vec<(String, f32)>,
}

impl PeftConfig {
    /// Reads the file.
    pub fn read(bytes: &[u8]) -> Result<PeftConfig, FormatError> {
        if bytes.len() > CONFIG_BYTES_MAX {
            let bytes = bytes.len();
            return Err(refuse(format!(
                "adapter_config.json has {bytes} bytes; real ones have a few thousand"
            )));
        }
        let config: Value = serde_json::from_slice(bytes)
            .map_err(|error| refuse(format!("adapter_config.json is no JSON: {error}")))?;
        let peft_type = config["peft_type"].as_str().unwrap_or("missing");
        let is_ia3 = match peft_type {
            "LORA" => false,
            "IA3" => true,
            other => {
                let other = short(other);
                return Err(refuse(format!("its peft_type is {other}; LORA and IA3 can be read")));
            }
        };
        refuse_what_differs(&config)?;
        let base_model_name = config["base_model_name_or_path"].as_str().unwrap_or_default().into();
        let is_set = |key: &str| is_set(&config[key]);
        let (use_rslora, use_dora) = (is_set("use_rslora"), is_set("use_dora"));
        if is_ia3 {
            return Ok(PeftConfig { is_ia3, base_model_name, ..PeftConfig::default() });
        }
        let rank = config["r"].as_u64().filter(|rank| (1..=RANK_MAX).contains(rank));
        let rank = rank.ok_or_else(|| refuse(format!("its rank `r` is {}", config["r"])))?;
        let alpha = config["lora_alpha"].as_f64().filter(|alpha| alpha.is_finite());
        let alpha =
            alpha.ok_or_else(|| refuse(format!("its `lora_alpha` is {}", config["lora_alpha"])))?;
        let rank_pattern = pattern(&config, "rank_pattern")?;
        let alpha_pattern = pattern(&config, "alpha_pattern")?;
        let (rank, alpha) = (rank as usize, alpha as f32);
        Ok(PeftConfig {
            is_ia3,
            rank,
            alpha,
            use_rslora,
            use_dora,
            base_model_name,
            rank_pattern,
            alpha_pattern,
        })
    }

    /// The rank of the pair of a module, such as `model.layers.0.self_attn.q_proj`.
    pub fn rank_of(&self, module: &str) -> Result<usize, FormatError> {
        Ok(matching(&self.rank_pattern, module)?.map_or(self.rank, |rank| rank as usize))
    }

    /// The factor on the update of such a pair, whose rank is `rank`.
    pub fn scale_of(&self, module: &str, rank: usize) -> Result<f32, FormatError> {
        let alpha = matching(&self.alpha_pattern, module)?.unwrap_or(self.alpha);
        let rank = rank as f32;
        Ok(alpha / if self.use_rslora { rank.sqrt() } else { rank })
    }

    /// The file's bytes; `targets` are the modules that the adapter sits beside. Patterns are not written.
    pub fn write(&self, targets: &[&str]) -> Vec<u8> {
        let mut config = json!({
            "task_type": "CAUSAL_LM", "inference_mode": true, "fan_in_fan_out": false,
            "base_model_name_or_path": self.base_model_name, "target_modules": targets,
            "modules_to_save": null, "revision": null,
        });
        let own = if self.is_ia3 {
            let inputs: Vec<_> = targets.iter().filter(|target| **target == "down_proj").collect();
            json!({ "peft_type": "IA3", "feedforward_modules": inputs, "init_ia3_weights": true })
        } else {
            // PEFT declares alpha an integer; only a fraction is written as one.
            let is_whole = self.alpha.fract() == 0.0;
            let alpha = if is_whole { json!(self.alpha as i64) } else { json!(self.alpha) };
            json!({
                "peft_type": "LORA", "r": self.rank, "lora_alpha": alpha, "lora_dropout": 0.0,
                "bias": "none", "init_lora_weights": true, "use_rslora": self.use_rslora,
                "use_dora": self.use_dora, "rank_pattern": {}, "alpha_pattern": {},
                "layers_to_transform": null, "layers_pattern": null,
            })
        };
        let own = own.as_object().cloned().unwrap_or_default();
        config.as_object_mut().expect("an object was made").extend(own);
        serde_json::to_vec_pretty(&config).expect("a JSON value is always written")
    }
}

fn refuse_what_differs(config: &Value) -> Result<(), FormatError> {
    let asked = REFUSED.iter().find(|(key, _)| is_set(&config[*key]));
    if let Some((key, reason)) = asked {
        let value = short(&config[*key].to_string());
        return Err(refuse(format!("its `{key}` is {value}: {reason}")));
    }
    let bias = config["bias"].as_str().unwrap_or("none");
    if bias != "none" {
        return Err(refuse(format!("its `bias` is {}; only `none` can be read", short(bias))));
    }
    let begun = config["init_lora_weights"].as_str().unwrap_or_default().to_lowercase();
    if CHANGES_BASE.iter().any(|way| begun.starts_with(way)) {
        let begun = short(&begun);
        return Err(refuse(format!(
            "its `init_lora_weights` is {begun}, which changes the base too; convert it in PEFT to a plain LoRA"
        )));
    }
    Ok(())
}

/// The entries of `rank_pattern` or `alpha_pattern`. PEFT's keys are regular expressions for the end of a module's name; only
/// names, in which a dot may be escaped, are read.
fn pattern(config: &Value, key: &'static str) -> Result<Vec<(String, f32)>, FormatError> {
    let none = Map::new();
    let entries = config[key].as_object().unwrap_or(&none);
    let mut pattern = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        let plain = name.replace("\\.", ".");
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        if plain.is_empty() || !plain.chars().all(is_name) {
            let name = short(name);
            return Err(refuse(format!(
                "its `{key}` has `{name}`, a regular expression; only names can be read"
            )));
        }
        let number = value.as_f64().filter(|number| number.is_finite());
        let is_rank =
            |number: f64| number.fract() == 0.0 && (1.0..=RANK_MAX as f64).contains(&number);
        let number = number.filter(|number| key != "rank_pattern" || is_rank(*number));
        let (name, value) = (short(name), short(&value.to_string()));
        let number = number.ok_or_else(|| refuse(format!("its `{key}` of `{name}` is {value}")))?;
        pattern.push((plain, number as f32));
    }
    Ok(pattern)
}

/// The value of the entry that names a module by its whole name or by the end of it behind a dot.
fn matching(pattern: &[(String, f32)], module: &str) -> Result<Option<f32>, FormatError> {
    let names = |key: &str| {
        let before = module.strip_suffix(key);
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    let mut found = pattern.iter().filter(|(key, _)| names(key));
    let first = found.next();
    match (first, found.next()) {
        // PEFT takes the first in the file's order, which a map has lost.
        (Some((one, a)), Some((two, b))) if a != b => Err(refuse(format!(
            "its patterns `{}` and `{}` both name {module}, with {a} and {b}",
            short(one),
            short(two)
        ))),
        _ => Ok(first.map(|(_, value)| *value)),
    }
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

/// A text for a message: a lying file must not fill the screen.
fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

fn refuse(reason: impl Into<String>) -> FormatError {
    FormatError::Adapter { reason: reason.into() }
}
