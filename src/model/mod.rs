//! The model: configuration, weights on a device, an adapter beside them, KV cache, forward, sampling, generation.
//!
//! It knows no gradients and no learning. Invariant: the cache holds keys of the adapter in place, so changing
//! the adapter empties it.

pub mod adapter;
pub mod batch;
pub mod cache;
pub mod config;
pub mod constraint;
pub mod decode;
pub mod decode_layer;
pub mod distance;
pub mod dora;
pub mod forward;
pub mod fresh;
pub mod generate;
pub mod gguf_adapter;
pub mod halves;
mod hash;
pub mod lora;
pub mod memory;
pub mod merge;
pub mod method;
pub mod module;
pub mod near;
mod opening;
pub mod pass;
pub mod peft;
pub mod prefix;
pub mod random;
pub mod sampler;
pub mod score;
pub mod stack;
pub mod ties;
pub mod tiles;
pub mod tuning;
pub mod weights;
pub mod workspace;

use crate::device::{Account, Buffer, Device, DeviceError};
use crate::format::chat::ChatTemplate;
use crate::format::error::FormatError;
use crate::format::gguf::Gguf;
use crate::format::source::Source;
use crate::format::tokenizer::Tokenizer;
use crate::tensor::{Tensor, WeightError};
use adapter::Adapter;
use cache::Cache;
use config::Config;
use constraint::{Constraint, Form, Grammars};
use decode::Burst;
use decode_layer::OneRow;
use forward::Net;
use lora::{Lora, LoraLayout};
use memory::{Memory, Sizes};
use tuning::Tuning;
use weights::{OnProgress, Weights};
use workspace::Workspace;

/// Rows of one pass: prompts and packs longer than this go in several.
pub const PASS_ROWS: usize = 512;
/// Tokens of a conversation, unless the model was trained for fewer.
pub const CONTEXT: usize = 2048;

/// Why a model cannot be loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Another architecture.
    #[error(
        "the model's architecture is `{found}`; this program runs llama (SmolLM2, Llama), qwen2 and qwen3"
    )]
    Architecture {
        /// What the file says.
        found: String,
    },
    /// A way of stretching RoPE that is not Llama 3's.
    #[error(
        "the model scales RoPE by `{found}`, which this program does not; take a file without it"
    )]
    RopeScaling {
        /// What the file says.
        found: String,
    },
    /// A shape that no kernel can run.
    #[error("the model's shape cannot be run: {rule}")]
    Shape {
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// A tensor has another shape than the configuration says.
    #[error("tensor `{name}` is {found:?}, its configuration says {wanted:?}; the file is damaged")]
    TensorShape {
        /// The tensor.
        name: String,
        /// What the file says.
        found: Vec<u64>,
        /// What it should say.
        wanted: Vec<u64>,
    },
    /// An adapter of another model.
    #[error(
        "an adapter of rank {rank} has {found} values, this model needs {wanted}; it belongs to another model"
    )]
    AdapterShape {
        /// Its rank.
        rank: usize,
        /// Its values.
        found: usize,
        /// The values that this model needs.
        wanted: usize,
    },
    /// A tensor that this model has no place for.
    #[error(
        "the adapter's tensor {name} {shape:?} does not fit this model; it belongs to another one"
    )]
    AdapterTensor {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: [usize; 2],
    },
    /// A linear that no adapter can sit beside.
    #[error(
        "the adapter changes `{name}`, which is no linear of a layer of this model; \
         attn_q, attn_k, attn_v, attn_output, ffn_gate, ffn_up and ffn_down can be adapted"
    )]
    AdapterLinear {
        /// The weight that it names.
        name: String,
    },
    /// An adapter for another architecture.
    #[error("the adapter is for the architecture `{found}`, the model's is `{wanted}`")]
    AdapterArchitecture {
        /// What the adapter says.
        found: String,
        /// The model's.
        wanted: &'static str,
    },
    /// What a GGUF adapter cannot say.
    #[error("GGUF adapters have no form for {reason}; export to PEFT, or merge")]
    NoGgufForm {
        /// What it is.
        reason: &'static str,
    },
    /// A DoRA adapter that leaves linears out.
    #[error(
        "the DoRA adapter sits beside some of the linears only; this program wants all seven of every layer: \
         train it so, or merge it in PEFT"
    )]
    PartialDora,
    /// A vector beside a module that has none.
    #[error(
        "the adapter has a vector beside {module}; (IA)³ is read beside k_proj, v_proj and down_proj"
    )]
    NoVector {
        /// The module.
        module: &'static str,
    },
    /// Adapters that are no sums of updates.
    #[error("an adapter of method {method} is no sum of updates: give it alone, with the weight 1")]
    Compose {
        /// The method.
        method: &'static str,
    },
    /// A rank that the workspace has no room for.
    #[error("rank {rank} is out of range; choose 1 to {max}")]
    Rank {
        /// The rank.
        rank: usize,
        /// The largest.
        max: usize,
    },
    /// A prompt without tokens.
    #[error("the prompt is empty; give at least one character")]
    EmptyPrompt,
    /// More tokens than the cache holds.
    #[error("{wanted} tokens do not fit the context of {capacity}; shorten the conversation")]
    Context {
        /// Tokens asked for.
        wanted: usize,
        /// Tokens that fit.
        capacity: usize,
    },
    /// A form that answers cannot be held to.
    #[error("answers cannot be held to this schema: {reason}")]
    Schema {
        /// Why.
        reason: String,
    },
    /// Of the file.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Of the device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Of a weight.
    #[error(transparent)]
    Weight(#[from] WeightError),
}

/// A model on a device, ready to answer.
pub struct Model {
    /// The device.
    pub device: Device,
    /// Its shape.
    pub config: Config,
    /// Its frozen weights.
    pub weights: Weights,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Its chat template.
    pub template: ChatTemplate,
    /// sha256 of its file, hex.
    pub base_hash: String,
    /// How decoding multiplies one row; [`Model::tune`] measures it. Plain at first.
    pub tuning: Tuning,
    lora: Option<Lora>,
    rope: Buffer,
    work: Workspace,
    scratch: (Tensor, Tensor),
    cache: Cache,
    logits: Tensor,
    gathered: (Tensor, Tensor),
    /// The norms of the embedding matrix's rows; empty until near words are asked for.
    embedding_norms: Vec<f32>,
    gather_rows: Buffer,
    labels: Buffer,
    zero_weights: Buffer,
    losses: Buffer,
    picked: Buffer,
    burst: Burst,
    one: OneRow,
    /// For answers of a form; made when the first is asked for.
    grammars: Option<Grammars>,
}

impl Model {
    /// Loads a GGUF onto `device` with [`CONTEXT`] tokens of a conversation, hashing it on the way.
    pub async fn load(
        device: &Device,
        source: &mut dyn Source,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<Model, ModelError> {
        Model::load_for(device, source, CONTEXT, on_progress).await
    }

    /// The same with at most `context` tokens of a conversation. What is known not to fit the device is refused
    /// before anything is allocated.
    pub async fn load_for(
        device: &Device,
        source: &mut dyn Source,
        context: usize,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<Model, ModelError> {
        let gguf = Gguf::read(source).await?;
        let config = Config::from_gguf(&gguf)?;
        let tokenizer = Tokenizer::from_gguf(&gguf)?;
        let template = ChatTemplate::from_gguf(&gguf)?;
        let sizes = Sizes::new(&config, device.limits(), context)?;
        memory::check(device, &gguf, &config, sizes).await?;
        let base_hash = hash::of(source, on_progress).await?;
        let mut weights = Weights::load(device, &config, &gguf, source, on_progress).await?;
        tiles::choose(device, &mut weights).await?;
        let divisors = weights.rope_divisors.as_deref();
        let table = config.rope_table(sizes.context, divisors);
        let memory = Memory::new(&mut Account::new(device), &config, sizes)?;
        device.write(&memory.rope, 0, &table)?;
        let Memory { rope, work, scratch, cache, logits, gathered, .. } = memory;
        let Memory { gather_rows, labels, zero_weights, losses, picked, burst, one, .. } = memory;
        Ok(Model {
            device: device.clone(),
            config,
            weights,
            tokenizer,
            template,
            base_hash,
            lora: None,
            rope,
            work,
            scratch,
            cache,
            logits,
            gathered,
            embedding_norms: Vec::new(),
            gather_rows,
            labels,
            zero_weights,
            losses,
            picked,
            burst,
            one,
            grammars: None,
            tuning: Tuning::default(),
        })
    }

    /// Puts an adapter in place; `None` is the base model. The cache starts anew.
    pub fn set_adapter(&mut self, adapter: Option<&Adapter>) -> Result<(), ModelError> {
        self.cache.clear();
        let Some(adapter) = adapter else {
            self.lora = None;
            return Ok(());
        };
        let max = workspace::RANK_MAX;
        if adapter.method.has_pairs() && !(1..=max).contains(&adapter.rank) {
            return Err(ModelError::Rank { rank: adapter.rank, max });
        }
        let layout = LoraLayout::of(&self.config, adapter);
        if layout.len != adapter.weights.len() {
            let (found, wanted) = (adapter.weights.len(), layout.len);
            return Err(ModelError::AdapterShape { rank: adapter.rank, found, wanted });
        }
        // The old one goes first: there is never room for two.
        let old = self.lora.take().filter(|old| old.flat.layout == layout);
        self.lora = Some(Lora::put(&self.device, &self.config, &self.weights, adapter, old)?);
        Ok(())
    }

    /// The adapter in place.
    pub fn lora(&self) -> Option<&Lora> {
        self.lora.as_ref()
    }

    /// Takes the adapter out (for training, which owns it meanwhile) or puts it back; the cache starts anew.
    pub fn replace_lora(&mut self, lora: Option<Lora>) -> Option<Lora> {
        self.cache.clear();
        std::mem::replace(&mut self.lora, lora)
    }

    /// The numbers of the adapter in place changed: what was made of the old ones is forgotten, or made anew.
    pub fn adapter_changed(&mut self) -> Result<(), ModelError> {
        self.cache.clear();
        if let Some(lora) = &mut self.lora {
            lora.changed(&self.device, &self.weights)?;
        }
        Ok(())
    }

    /// Forgets the conversation's keys.
    pub fn clear_cache(&mut self) {
        self.cache.clear();
    }

    /// Tokens that a conversation may have.
    pub fn context(&self) -> usize {
        self.cache.capacity
    }

    /// What holds one answer to a form.
    pub fn constraint(&mut self, form: &Form) -> Result<Constraint, ModelError> {
        if self.grammars.is_none() {
            self.grammars = Some(Grammars::new(&self.tokenizer)?);
        }
        let missing = || ModelError::Schema { reason: "the vocabulary was not read".into() };
        self.grammars.as_ref().ok_or_else(missing)?.constraint(form)
    }

    /// Rows that one pass may have.
    pub fn pass_rows(&self) -> usize {
        self.work.rows
    }

    /// Rows of logits that are made at once.
    pub fn logit_rows(&self) -> usize {
        self.logits.rows
    }

    /// cos and sin of every position, `[context, head_dim / 2, 2]`.
    pub fn rope_table(&self) -> &Buffer {
        &self.rope
    }

    /// Parameters of the base model.
    pub fn parameters(&self) -> u64 {
        let Config { arch, layers, dim, heads, kv_heads, head_dim, vocab, .. } = self.config;
        let matrices: usize = lora::Module::ALL
            .iter()
            .map(|module| {
                let (rows, cols) = module.shape(&self.config);
                rows * cols
            })
            .sum();
        let biases = usize::from(arch.has_biases()) * (heads + 2 * kv_heads) * head_dim;
        let norms = 2 * dim + usize::from(arch.norms_heads()) * 2 * head_dim;
        let vocabularies = 1 + usize::from(self.weights.head.is_some());
        (layers * (matrices + biases + norms) + vocabularies * vocab * dim + dim) as u64
    }

    fn net<'a>(&'a self, rope: &'a crate::device::View) -> Net<'a> {
        Net {
            config: &self.config,
            weights: &self.weights,
            lora: self.lora.as_ref(),
            rope,
            tuning: None,
        }
    }
}
