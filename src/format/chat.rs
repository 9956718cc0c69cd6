//! Conversations as text: the model's own chat template, and which of its tokens an assistant
//! wrote.
//!
//! The template is the Jinja source in the GGUF's metadata, run by `minijinja` with the methods
//! that Python's strings have. It knows nothing of what is trained. Invariant: a training text's
//! tokens before a learned turn are exactly the tokens that generation would be prompted with.

use super::chat_functions::{self, Day};
use super::error::FormatError;
use super::gguf::Gguf;
use super::message::Message;
use super::tokenizer::Tokenizer;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, Value, context};
use std::collections::BTreeMap;
use std::ops::Range;

/// ChatML, for files without a template.
const CHATML: &str = concat!(
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' ",
    "+ message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}",
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
);

const NAME: &str = "chat";

/// Which turns of a conversation are learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LearnedTurns {
    /// Every message of the assistant.
    Every,
    /// The assistant's last message only.
    Last,
}

/// A model's way of writing conversations.
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos: String,
    eos: String,
    /// What a template is told beside the conversation, by name.
    arguments: BTreeMap<String, Value>,
}

/// Names that the conversation itself takes.
const RESERVED: [&str; 2] = ["messages", "add_generation_prompt"];

impl ChatTemplate {
    /// The template in a GGUF's metadata; ChatML where there is none.
    pub fn from_gguf(gguf: &Gguf) -> Result<ChatTemplate, FormatError> {
        let meta = &gguf.metadata;
        let source = meta.opt_str("tokenizer.chat_template")?.unwrap_or(CHATML);
        let token = |key: &str| -> Result<String, FormatError> {
            let Some(id) = meta.opt_usize(key)? else { return Ok(String::new()) };
            let text = meta.strings("tokenizer.ggml.tokens")?.get(id);
            Ok(text.unwrap_or_default().to_string())
        };
        let bos = token("tokenizer.ggml.bos_token_id")?;
        ChatTemplate::new(source, bos, token("tokenizer.ggml.eos_token_id")?)
    }

    /// A template from its Jinja source; `bos` and `eos` are the texts of those tokens.
    pub fn new(source: &str, bos: String, eos: String) -> Result<ChatTemplate, FormatError> {
        let mut environment = Environment::new();
        // Hugging Face renders with these two settings, and templates are written for them.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(failed)?);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        chat_functions::add(&mut environment, Day::DEFAULT);
        environment.add_template_owned(NAME, source.to_string()).map_err(failed)?;
        Ok(ChatTemplate { environment, bos, eos, arguments: BTreeMap::new() })
    }

    /// Sets the day that a template is told when it asks; the default is a fixed one, so that a conversation has the
    /// same tokens whenever it is learned or examined.
    pub fn set_today(&mut self, today: Day) {
        chat_functions::add(&mut self.environment, today);
    }

    /// Tells the template `value` under `name` from now on, such as `enable_thinking`; what is not told is not defined, and
    /// the template does what it does by default. As in transformers, it may replace the special tokens' texts. A map's keys
    /// come in alphabetical order.
    pub fn set_argument(
        &mut self,
        name: &str,
        value: &serde_json::Value,
    ) -> Result<(), FormatError> {
        if RESERVED.contains(&name) {
            let reason = format!("`{name}` is the conversation's own and no argument");
            return Err(FormatError::Template { reason });
        }
        self.arguments.insert(name.to_string(), Value::from(Serde(value)));
        Ok(())
    }

    /// The text of a conversation; with `add_generation_prompt`, the assistant's next turn is
    /// begun.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, FormatError> {
        let messages: Vec<Value> =
            messages.iter().map(|Message { role, content }| context! { role, content }).collect();
        let tokens = [("bos_token", &self.bos), ("eos_token", &self.eos)];
        let mut others: BTreeMap<&str, Value> =
            tokens.map(|(name, text)| (name, Value::from(text.as_str()))).into();
        others.extend(self.arguments.iter().map(|(name, value)| (name.as_str(), value.clone())));
        let others = Value::from_pairs(others);
        let context = context! { messages, add_generation_prompt, ..others };
        let template = self.environment.get_template(NAME).map_err(failed)?;
        template.render(context).map_err(failed)
    }

    /// The tokens that ask the assistant for its next turn.
    pub fn encode_prompt(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Message],
    ) -> Result<Vec<u32>, FormatError> {
        Ok(tokenizer.encode(&self.render(messages, true)?, true))
    }

    /// A conversation's tokens and, for each, whether it is learned: the contents of the
    /// assistant's turns with the tokens that end them. The tokens stop after the last learned one,
    /// since nothing depends on later ones.
    pub fn encode_for_training(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Message],
        turns: LearnedTurns,
    ) -> Result<(Vec<u32>, Vec<bool>), FormatError> {
        let text = self.render(messages, false)?;
        let is_assistant = |&index: &usize| messages[index].role == "assistant";
        let mut learned: Vec<usize> = (0..messages.len()).filter(is_assistant).collect();
        if turns == LearnedTurns::Last {
            learned.drain(..learned.len().saturating_sub(1));
        }
        if learned.is_empty() {
            let reason = "the conversation has no turn of the assistant to learn from".to_string();
            return Err(FormatError::Template { reason });
        }
        let (mut tokens, mut counted) = (Vec::new(), Vec::new());
        let mut push = |part: Range<usize>, counts: bool| {
            tokens.extend(match part.start {
                0 => tokenizer.encode(&text[part], true),
                _ => tokenizer.encode_rest(&text[part], true),
            });
            counted.resize(tokens.len(), counts);
        };
        // Turns are encoded apart from what precedes them, as generation encodes its prompt.
        let mut done = 0;
        for index in learned {
            let span = self.assistant_span(tokenizer, &text, messages, index)?;
            if span.start < done {
                let reason = format!("it writes message {} before an earlier one", index + 1);
                return Err(FormatError::Template { reason });
            }
            push(done..span.start, false);
            push(span.clone(), true);
            done = span.end;
        }
        Ok((tokens, counted))
    }

    /// Where in the conversation's text the assistant's message `index` lies, with the token that
    /// ends it.
    ///
    /// It starts where the prompt for it ends, and ends with the last stop token before the next
    /// message.
    fn assistant_span(
        &self,
        tokenizer: &Tokenizer,
        text: &str,
        messages: &[Message],
        index: usize,
    ) -> Result<Range<usize>, FormatError> {
        let start = common_prefix(text, &self.render(&messages[..index], true)?);
        let end = common_prefix(text, &self.render(&messages[..=index], false)?);
        let content = messages[index].content.trim();
        let turn = text.get(start..end).unwrap_or_default();
        let Some(at) = turn.find(content) else {
            let reason = format!("the text of message {} is not found where it is due", index + 1);
            return Err(FormatError::Template { reason });
        };
        let after = at + content.len();
        let stops = tokenizer.stop_ids().iter().map(|&id| tokenizer.token_text(id));
        let ends = stops.filter_map(|stop| Some(turn[after..].find(&stop)? + after + stop.len()));
        Ok(start..start + ends.min().unwrap_or(after))
    }
}

/// The length in bytes of what two texts have in common at their start, on a border of characters.
fn common_prefix(left: &str, right: &str) -> usize {
    let pairs = left.chars().zip(right.chars());
    pairs.take_while(|(left, right)| left == right).map(|(left, _)| left.len_utf8()).sum()
}

fn failed(error: Error) -> FormatError {
    FormatError::Template { reason: format!("{error:#}") }
}
