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
