//! How an adapter changes a linear: LoRA, rsLoRA, DoRA and (IA)³ by name, with their scales and the shapes of what each trains.
//!
//! It knows no numbers and no devices. Invariant: a name that was written once is read for ever.

use super::config::Config;
use super::module::Module;
use serde::{Deserialize, Serialize};

/// A way of changing a frozen linear y = W x + b.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// y = W x + (alpha / r) B A x + b (Hu et al. 2021).
    #[default]
    Lora,
    /// The same with the factor alpha / sqrt(r) (Kalajdzievski 2023).
    RsLora,
    /// y = m ∘ (W + s B A) x / ‖W + s B A‖ + b, the norms taken of rows, s = alpha / r (Liu et al. 2024).
    Dora,
    /// y = l ∘ (W x + b) for keys and values, y = W (l ∘ x) + b for down (Liu et al. 2022).
    Ia3,
}

impl Method {
    /// All of them.
    pub const ALL: [Method; 4] = [Method::Lora, Method::RsLora, Method::Dora, Method::Ia3];

    /// Its name in arguments and files.
    pub fn name(self) -> &'static str {
        match self {
            Method::Lora => "lora",
            Method::RsLora => "rslora",
            Method::Dora => "dora",
            Method::Ia3 => "ia3",
        }
    }

    /// The method called `name`.
    pub fn from_name(name: &str) -> Option<Method> {
        Method::ALL.into_iter().find(|method| method.name() == name)
    }

    /// Does it train pairs A, B? One that does not has rank 0.
    pub fn has_pairs(self) -> bool {
        self != Method::Ia3
    }

    /// Is it a sum of updates to weights? Only such can be added, weighted and cut.
    pub fn is_sum(self) -> bool {
        matches!(self, Method::Lora | Method::RsLora)
    }

    /// The factor s on B A x; 0 without pairs.
    pub fn scale(self, alpha: f32, rank: usize) -> f32 {
        match self {
            Method::Lora | Method::Dora => alpha / rank as f32,
            Method::RsLora => alpha / (rank as f32).sqrt(),
            Method::Ia3 => 0.0,
        }
    }

    /// Values of the vector that is trained beside a module: DoRA's magnitudes m `[out]`, (IA)³'s l (`[out]` of keys and
    /// values, `[in]` of down); 0 where there is none.
    pub fn vector_len(self, config: &Config, module: Module) -> usize {
        let (outputs, inputs) = module.shape(config);
        match (self, module) {
            (Method::Dora, _) | (Method::Ia3, Module::K | Module::V) => outputs,
            (Method::Ia3, Module::Down) => inputs,
            _ => 0,
        }
    }
}

impl std::str::FromStr for Method {
    type Err = String;

    fn from_str(name: &str) -> Result<Method, String> {
        Method::from_name(name).ok_or_else(|| format!("`{name}` is not lora, rslora, dora or ia3"))
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
