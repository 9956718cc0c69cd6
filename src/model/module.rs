//! The seven linears of a layer: their order, their names, their shapes.
//!
//! It knows no weights and no adapters.

use super::config::Config;

/// The seven linears of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Module {
    /// Queries.
    Q,
    /// Keys.
    K,
    /// Values.
    V,
    /// Attention's output.
    O,
    /// SwiGLU's gate.
    Gate,
    /// SwiGLU's other factor.
    Up,
    /// Back to the model's width.
    Down,
}

impl Module {
    /// All of them, in the flat order.
    pub const ALL: [Module; 7] =
        [Module::Q, Module::K, Module::V, Module::O, Module::Gate, Module::Up, Module::Down];

    /// Hugging Face's name: `q_proj` and so on.
    pub fn name(self) -> &'static str {
        match self {
            Module::Q => "q_proj",
            Module::K => "k_proj",
            Module::V => "v_proj",
            Module::O => "o_proj",
            Module::Gate => "gate_proj",
            Module::Up => "up_proj",
            Module::Down => "down_proj",
        }
    }

    /// The module that Hugging Face calls `name`.
    pub fn from_name(name: &str) -> Option<Module> {
        Module::ALL.into_iter().find(|module| module.name() == name)
    }

    /// GGUF's name: `attn_q` and so on.
    pub fn gguf_name(self) -> &'static str {
        match self {
            Module::Q => "attn_q",
            Module::K => "attn_k",
            Module::V => "attn_v",
            Module::O => "attn_output",
            Module::Gate => "ffn_gate",
            Module::Up => "ffn_up",
            Module::Down => "ffn_down",
        }
    }

    /// The layer and the module whose weight a GGUF calls `name`, such as `blk.7.attn_q.weight`; none for other tensors.
    pub fn of_weight(name: &str) -> Option<(usize, Module)> {
        let (layer, linear) =
            name.strip_prefix("blk.")?.strip_suffix(".weight")?.split_once('.')?;
        let module = Module::ALL.into_iter().find(|module| module.gguf_name() == linear)?;
        // `07` and `+7` are no names of layer 7.
        let number: usize = layer.parse().ok()?;
        (number.to_string() == layer).then_some((number, module))
    }

    /// The GGUF's name of the weight of this module in layer `layer`.
    pub fn weight_name(self, layer: usize) -> String {
        format!("blk.{layer}.{}.weight", self.gguf_name())
    }

    /// `(out, in)` features.
    pub fn shape(self, config: &Config) -> (usize, usize) {
        let (q, kv) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
        match self {
            Module::Q => (q, config.dim),
            Module::K | Module::V => (kv, config.dim),
            Module::O => (config.dim, q),
            Module::Gate | Module::Up => (config.ff, config.dim),
            Module::Down => (config.dim, config.ff),
        }
    }
}
