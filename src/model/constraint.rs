//! Answers that must be JSON of a schema: which tokens may come next, by `llguidance` over the model's own vocabulary.
//!
//! A grammar made of the schema follows the answer byte by byte; a token may come if its bytes can go on what is there, and
//! the token that ends an answer if what is there is whole. It knows no devices: logits come in, and those of the other
//! tokens go to minus infinity. Invariant: an answer that ended by itself fits its schema; one that was cut fits as far as it
//! goes.

use super::ModelError;
use crate::format::tokenizer::Tokenizer;
use llguidance::api::TopLevelGrammar;
use llguidance::{JsonCompileOptions, Matcher, ParserFactory};
use serde_json::{Value, json};
use std::sync::Arc;
use toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie};

/// White space between two parts of a JSON text: a small model could go on with it for ever.
const SPACE: &str = r"[\x20\x0A]{1,16}";

/// What an answer must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    schema: Value,
}

impl Form {
    /// Reads `response_format` of OpenAI's chat API; none is any text.
    pub fn read(format: &Value) -> Result<Option<Form>, String> {
        match format.get("type").and_then(Value::as_str) {
            Some("text") => Ok(None),
            Some("json_object") => Ok(Some(Form { schema: json!({ "type": "object" }) })),
            Some("json_schema") => {
                match format.get("json_schema").and_then(|by| by.get("schema")) {
                    Some(schema @ Value::Object(_)) => Ok(Some(Form { schema: schema.clone() })),
                    _ => {
                        Err("a JSON schema is wanted in `response_format.json_schema.schema`"
                            .into())
                    }
                }
            }
            _ => Err("`response_format.type` must be text, json_object or json_schema".into()),
        }
    }
}

/// A vocabulary made ready: a tree of all tokens' bytes, which every answer's grammar walks.
pub struct Grammars {
    factory: ParserFactory,
    vocabulary: usize,
}

impl Grammars {
    /// Of a tokenizer.
    pub fn new(tokenizer: &Tokenizer) -> Result<Grammars, ModelError> {
        let vocabulary = tokenizer.vocab_size();
        let words: Vec<Vec<u8>> = (0..vocabulary as u32)
            .map(|id| {
                let bytes = tokenizer.token_bytes(id);
                let stops = tokenizer.stop_ids().contains(&id);
                // The mark keeps what steers the model out of texts.
                let mark =
                    (stops || tokenizer.is_control(id)).then_some(TokTrie::SPECIAL_TOKEN_MARKER);
                mark.into_iter().chain(bytes.iter().copied()).collect()
            })
            .collect();
        let info = TokRxInfo::new(vocabulary as u32, tokenizer.eos());
        let trie = TokTrie::from(&info, &words).with_eos_tokens(tokenizer.stop_ids());
        let tokens: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let slices = llguidance::earley::SlicedBiasComputer::json_slices();
        let factory = ParserFactory::new(&tokens, InferenceCapabilities::default(), &slices);
        let mut factory = factory.map_err(refused)?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        Ok(Grammars { factory, vocabulary })
    }

    /// The constraint of one answer.
    pub fn constraint(&self, form: &Form) -> Result<Constraint, ModelError> {
        let mut schema = form.schema.clone();
        let options = JsonCompileOptions {
            whitespace_pattern: Some(SPACE.into()),
            ..JsonCompileOptions::default()
        };
        options.apply_to(&mut schema);
        let parser = self.factory.create_parser(TopLevelGrammar::from_json_schema(schema));
        let matcher = Matcher::new(Ok(parser.map_err(refused)?));
        Ok(Constraint { matcher, vocabulary: self.vocabulary })
    }
}

/// What one answer must be, and how far it has come.
pub struct Constraint {
    matcher: Matcher,
    vocabulary: usize,
}

impl Constraint {
    /// Takes the logits of the tokens that may not come to minus infinity.
    pub fn mask(&mut self, logits: &mut [f32]) -> Result<(), ModelError> {
        let allowed = self.matcher.compute_mask_or_eos().map_err(refused)?;
        for (id, logit) in logits.iter_mut().enumerate() {
            // A model may have more rows of logits than tokens.
            if id >= self.vocabulary || !allowed.is_allowed(id as u32) {
                *logit = f32::NEG_INFINITY;
            }
        }
        Ok(())
    }

    /// Follows the answer by a token that was allowed.
    pub fn take(&mut self, token: u32) -> Result<(), ModelError> {
        // Behind the end there is nothing to follow.
        if self.matcher.is_stopped() && !self.matcher.is_error() {
            return Ok(());
        }
        self.matcher.consume_token(token).map_err(refused)
    }
}

/// What llguidance says, in one line.
fn refused(reason: impl std::fmt::Display) -> ModelError {
    let text = reason.to_string();
    ModelError::Schema { reason: text.lines().next().unwrap_or_default().trim().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_formats_are_openais() {
        let read = |format: Value| Form::read(&format);
        assert_eq!(read(json!({ "type": "text" })), Ok(None));
        let any = Form { schema: json!({ "type": "object" }) };
        assert_eq!(read(json!({ "type": "json_object" })), Ok(Some(any)));
        let schema = json!({ "type": "integer" });
        let named = json!({ "name": "n", "strict": true, "schema": schema });
        let read_named = read(json!({ "type": "json_schema", "json_schema": named }));
        assert_eq!(read_named, Ok(Some(Form { schema })));
        for bad in [
            json!({}),
            json!("text"),
            json!({ "type": "xml" }),
            json!({ "type": "json_schema" }),
            json!({ "type": "json_schema", "json_schema": { "schema": "x" } }),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
