//! Generation: a prompt's tokens in, sampled tokens out until a stop token, the limit or a cancel.
//!
//! An answer that is to have a form is masked on the host before each choice, so its tokens come one a submit; all others go
//! the device's own way. Invariant: what is said is what is in the cache, but for the last token.

use super::constraint::Constraint;
use super::random::Random;
use super::sampler::{Choice, Sampling};
use super::{Model, ModelError};
use crate::device::Recording;
use crate::format::tokenizer::StreamDecoder;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that another task, thread or signal handler raises to stop what runs.
#[derive(Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Raises it.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Lowers it before a new run.
    pub fn lower(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Is it raised?
    pub fn raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StopReason {
    /// A stop token came, or the caller had enough.
    Stop,
    /// The limit of tokens or of the context was reached.
    Length,
    /// The caller asked to stop.
    Cancelled,
}

/// What was generated.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// The tokens, without the stop token.
    pub tokens: Vec<u32>,
    /// Their text.
    pub text: String,
    /// Why it ended.
    pub stop_reason: StopReason,
    /// Prompt tokens.
    pub prompt_tokens: usize,
    /// Of these, tokens whose keys were still in the cache.
    pub reused_tokens: usize,
}

/// What the caller hears while tokens come.
pub enum Progress<'a> {
    /// The prompt is in; the first token comes next.
    Prefilled,
    /// More text (whole characters), possibly empty.
    Text(&'a str),
}

impl Model {
    /// Generates after `prompt`, at most `tokens_max` tokens, while `on_progress` returns true.
    pub async fn generate(
        &mut self,
        prompt: &[u32],
        tokens_max: usize,
        sampling: &Sampling,
        cancel: &Cancel,
        on_progress: &mut dyn FnMut(Progress<'_>) -> bool,
    ) -> Result<Generation, ModelError> {
        self.generate_within(prompt, tokens_max, sampling, None, cancel, on_progress).await
    }

    /// The same, held to a form where there is one.
    pub async fn generate_within(
        &mut self,
        prompt: &[u32],
        tokens_max: usize,
        sampling: &Sampling,
        mut within: Option<Constraint>,
        cancel: &Cancel,
        on_progress: &mut dyn FnMut(Progress<'_>) -> bool,
    ) -> Result<Generation, ModelError> {
        if prompt.is_empty() {
            return Err(ModelError::EmptyPrompt);
        }
        if prompt.len() >= self.cache.capacity {
            let capacity = self.cache.capacity;
            return Err(ModelError::Context { wanted: prompt.len() + 1, capacity });
        }
        let reused_tokens = self.cache.reuse(prompt);
        self.extend(&prompt[reused_tokens..]).await?;
        let mut random = Random::new(sampling.seed);
        let mut decoder = StreamDecoder::new();
        let mut tokens: Vec<u32> = Vec::new();
        let mut text = String::new();
        let most = tokens_max.min(self.cache.capacity - prompt.len());
        let choice = Choice { seen: prompt, sampling, random: &mut random };
        let mut fresh = match &mut within {
            None => self.sample(&mut [choice]).await?,
            Some(within) => vec![self.choose_within(Recording::new(), choice, within).await?],
        };
        self.burst.restart();
        on_progress(Progress::Prefilled);
        let stop_reason = 'all: loop {
            for &token in &fresh {
                if cancel.raised() {
                    break 'all StopReason::Cancelled;
                }
                if tokens.len() == most {
                    break 'all StopReason::Length;
                }
                if self.tokenizer.stop_ids().contains(&token) {
                    break 'all StopReason::Stop;
                }
                tokens.push(token);
                let more = decoder.push(&self.tokenizer, token);
                text.push_str(&more);
                if !on_progress(Progress::Text(&more)) {
                    break 'all StopReason::Stop;
                }
            }
            if cancel.raised() {
                break StopReason::Cancelled;
            }
            match tokens.last() {
                Some(&last) if tokens.len() < most => {
                    let most = most - tokens.len();
                    fresh = match &mut within {
                        None => self.decode(last, most, sampling, &mut random).await?,
                        Some(within) => {
                            vec![self.decode_within(last, sampling, &mut random, within).await?]
                        }
                    };
                }
                _ => break StopReason::Length,
            }
        };
        let rest = decoder.finish();
        on_progress(Progress::Text(&rest));
        text.push_str(&rest);
        let prompt_tokens = prompt.len();
        Ok(Generation { tokens, text, stop_reason, prompt_tokens, reused_tokens })
    }
}
