//! One answer of the model: what is asked with all that it depends on, and what came with its numbers.
//!
//! It knows nothing of versions: whoever calls has put in place who answers. Invariant: what goes on from a text is
//! written behind exactly that text.

use crate::device::now_ms;
use crate::error::Error;
use crate::format::message::Message;
use crate::learn::engine::Engine;
use crate::model::constraint::Form;
use crate::model::generate::{Cancel, Progress, StopReason};
use crate::model::sampler::Sampling;
use serde::Serialize;

/// An answer with its numbers.
#[derive(Serialize)]
pub struct Answer {
    /// The whole text.
    pub text: String,
    /// Why it ended.
    pub stop_reason: StopReason,
    /// Tokens of the conversation.
    pub prompt_tokens: usize,
    /// Of these, tokens that were still in the cache.
    pub reused_tokens: usize,
    /// Tokens of the answer.
    pub generated_tokens: usize,
    /// New prompt tokens a second.
    pub prefill_tokens_per_s: f64,
    /// Answer tokens a second, the first one not counted.
    pub decode_tokens_per_s: f64,
}

/// A question with all that its answer depends on.
pub struct Asked {
    /// The conversation.
    pub messages: Vec<Message>,
    /// Whether the last message is the beginning of the answer.
    pub goes_on: bool,
    /// Who answers: a version's id or `base`; without one HEAD.
    pub version: Option<String>,
    /// Most tokens of the answer.
    pub tokens_max: usize,
    /// How to draw.
    pub sampling: Sampling,
    /// What the answer must be, if not any text.
    pub form: Option<Form>,
    /// Ends the answer.
    pub cancel: Cancel,
    /// Hears the text as it comes and says whether to go on.
    pub on_text: Box<dyn FnMut(&str) -> bool>,
}

/// Answers with the adapter that is in place.
pub async fn answer(engine: &mut Engine, asked: &mut Asked) -> Result<Answer, Error> {
    let Asked { messages, goes_on, tokens_max, sampling, form, cancel, on_text, .. } = asked;
    let begun = messages.last().filter(|last| *goes_on && last.role == "assistant");
    if begun.is_some() && form.is_some() {
        let text = "an answer of a form cannot go on from a text; leave one of the two out";
        return Err(Error::Misuse(text.into()));
    }
    let before = &messages[..messages.len() - usize::from(begun.is_some())];
    let mut prompt = engine.prompt(before)?;
    if let Some(begun) = begun {
        prompt.extend(engine.model.tokenizer.encode_rest(&begun.content, false));
    }
    let began_ms = now_ms();
    let mut prefilled_ms = began_ms;
    let mut on_progress = |progress: Progress<'_>| match progress {
        Progress::Prefilled => {
            prefilled_ms = now_ms();
            true
        }
        Progress::Text(text) => text.is_empty() || on_text(text),
    };
    let within = form.as_ref().map(|form| engine.model.constraint(form)).transpose()?;
    let (model, to) = (&mut engine.model, &mut on_progress);
    let generation =
        model.generate_within(&prompt, *tokens_max, sampling, within, cancel, to).await?;
    let rate = |tokens: usize, ms: f64| tokens as f64 * 1000.0 / ms.max(1.0);
    let generated_tokens = generation.tokens.len();
    let new_tokens = generation.prompt_tokens - generation.reused_tokens;
    // What goes on from a text keeps the space between them.
    let text = if begun.is_some() { generation.text.trim_end() } else { generation.text.trim() };
    Ok(Answer {
        text: text.to_string(),
        stop_reason: generation.stop_reason,
        prompt_tokens: generation.prompt_tokens,
        reused_tokens: generation.reused_tokens,
        generated_tokens,
        prefill_tokens_per_s: rate(new_tokens, prefilled_ms - began_ms),
        decode_tokens_per_s: rate(generated_tokens.saturating_sub(1), now_ms() - prefilled_ms),
    })
}
