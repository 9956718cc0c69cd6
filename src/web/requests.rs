//! What the page asks for, in the page's shapes, and what that is in the engine's.
//!
//! It knows no JavaScript: serde reads these. Invariant: a field that the page leaves out has the
//! engine's default.

use crate::device::DeviceChoice;
use crate::error::Error;
use crate::format::message::Message;
use crate::learn::example::{Content, Kind, NewExample, documents};
use crate::learn::learner::LearnError;
use crate::learn::report::LearnOptions;
use crate::model::constraint::Form;
use crate::model::sampler::Sampling;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Tokens of an answer, unless the page says otherwise.
const TOKENS_MAX: usize = 512;

/// Options of `load`.
#[derive(Deserialize)]
pub struct LoadRequest {
    device: Option<String>,
    /// Seed of sampling and training.
    #[serde(default)]
    pub seed: u64,
    /// What the chat template is told, by name.
    #[serde(default)]
    pub template_args: BTreeMap<String, serde_json::Value>,
}

impl LoadRequest {
    /// The device that was asked for.
    pub fn device(&self) -> Result<DeviceChoice, Error> {
        self.device.as_deref().map_or(Ok(DeviceChoice::Auto), str::parse).map_err(Error::Misuse)
    }
}

/// Options of `chat`.
#[derive(Deserialize)]
pub struct ChatRequest {
    temperature: Option<f32>,
    top_k: Option<usize>,
    top_p: Option<f32>,
    tokens_max: Option<usize>,
    seed: Option<u64>,
    /// The last message is the beginning of the answer.
    #[serde(default)]
    pub goes_on: bool,
    /// Who answers: a version's id or `base`; without one HEAD.
    pub version: Option<String>,
    /// What the answer must be, as OpenAI's chat API says it.
    response_format: Option<serde_json::Value>,
}

impl ChatRequest {
    /// What the answer must be, if not any text.
    pub fn form(&self) -> Result<Option<Form>, Error> {
        self.response_format.as_ref().map_or(Ok(None), Form::read).map_err(Error::Misuse)
    }

    /// Most tokens of the answer.
    pub fn tokens_max(&self) -> usize {
        self.tokens_max.unwrap_or(TOKENS_MAX)
    }

    /// How to draw; `seed` where the page gave none.
    pub fn sampling(&self, seed: u64) -> Result<Sampling, Error> {
        let usual = Sampling::default();
        let temperature = self.temperature.unwrap_or(usual.temperature);
        let top_p = self.top_p.unwrap_or(usual.top_p);
        if !(temperature >= 0.0 && top_p > 0.0) {
            let text = "the temperature must be 0 or more, top_p above 0";
            return Err(Error::Misuse(text.into()));
        }
        let top_k = self.top_k.unwrap_or(usual.top_k);
        Ok(Sampling { temperature, top_k, top_p, seed: self.seed.unwrap_or(seed), ..usual })
    }
}

/// Something to learn.
#[derive(Deserialize)]
pub struct Lesson {
    kind: Kind,
    messages: Option<Vec<Message>>,
    text: Option<String>,
    source: String,
    rejected: Option<String>,
}

impl Lesson {
    /// The examples of a lesson: one conversation, or a text's passages.
    pub fn examples(self) -> Result<Vec<NewExample>, Error> {
        match (self.kind, self.messages, self.text) {
            (Kind::Document, None, Some(text)) => Ok(documents(&text, &self.source)),
            (Kind::Correction | Kind::Approval, Some(messages), None) => {
                let example = NewExample {
                    kind: self.kind,
                    content: Content::Chat(messages),
                    source: self.source,
                    rejected: self.rejected,
                    rephrasings: Vec::new(),
                };
                example.check().map_err(LearnError::from)?;
                Ok(vec![example])
            }
            _ => {
                let text = "needs `messages` (a correction, an approval) or `text` (a document)";
                Err(Error::Misuse(format!("{}: {text}", self.source)))
            }
        }
    }
}

/// Options of `learn`.
#[derive(Deserialize)]
pub struct LearnRequest {
    steps_max: Option<usize>,
    sample: Option<usize>,
    lr: Option<f32>,
}

impl LearnRequest {
    /// The cycle's options: a quick cycle on the CPU, a whole one on a GPU, and what the page wants
    /// instead.
    pub fn options(&self, on_cpu: bool) -> Result<LearnOptions, Error> {
        let mut options = if on_cpu { LearnOptions::quick() } else { LearnOptions::default() };
        if self.steps_max == Some(0) || self.sample == Some(0) {
            let text = "a cycle needs at least one step and one item a suite";
            return Err(Error::Misuse(text.into()));
        }
        options.steps_max = self.steps_max.or(options.steps_max);
        options.sample = self.sample.or(options.sample);
        if let Some(lr) = self.lr {
            if lr.is_nan() || lr <= 0.0 {
                return Err(Error::Misuse("the learning rate must be above 0".into()));
            }
            options.recipe.lr = lr;
        }
        Ok(options)
    }
}

/// Options of `evaluate`.
#[derive(Deserialize)]
pub struct EvaluateRequest {
    /// A suite's name; without one all.
    pub suite: Option<String>,
    /// A version's id or name, or `base`; without one HEAD.
    pub version: Option<String>,
    /// Items of each suite; without it all, or as many as a quick cycle's on the CPU.
    pub sample: Option<usize>,
}
