//! An answer in OpenAI's words: one object, or the chunks of a stream.
//!
//! It knows no sockets and no engine. Invariant: the chunks of an answer, put together, say what the one object says.

use serde_json::{Value, json};

/// What all objects of one answer share.
#[derive(Debug, Clone)]
pub struct Voice {
    /// The answer's id.
    pub id: String,
    /// When it was asked for, seconds since 1970.
    pub created_s: u64,
    /// Who answers: a version, or `base`.
    pub model: String,
    /// What the answer depends on beside the request: the base model and its adapter.
    pub fingerprint: String,
}

/// How an answer ended, and what it took.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    /// OpenAI's word for it.
    pub reason: &'static str,
    /// Tokens of the conversation.
    pub prompt_tokens: usize,
    /// Of these, tokens whose keys were still there.
    pub cached_tokens: usize,
    /// Tokens of the answer.
    pub completion_tokens: usize,
}

impl Ending {
    fn usage(&self) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": { "cached_tokens": self.cached_tokens },
        })
    }
}

impl Voice {
    /// The whole answer.
    pub fn whole(&self, text: &str, ending: &Ending) -> Value {
        let message = json!({ "role": "assistant", "content": text, "refusal": null });
        let mut value = self.object("chat.completion");
        value["choices"] = json!([{
            "index": 0, "message": message, "logprobs": null, "finish_reason": ending.reason,
        }]);
        value["usage"] = ending.usage();
        value
    }

    /// The first chunk: who speaks.
    pub fn first(&self) -> Value {
        self.chunk(json!({ "role": "assistant", "content": "" }), None)
    }

    /// A chunk of text.
    pub fn more(&self, text: &str) -> Value {
        self.chunk(json!({ "content": text }), None)
    }

    /// The chunk that says why it ended.
    pub fn last(&self, ending: &Ending) -> Value {
        self.chunk(json!({}), Some(ending.reason))
    }

    /// The chunk that counts.
    pub fn counted(&self, ending: &Ending) -> Value {
        let mut value = self.object("chat.completion.chunk");
        value["choices"] = json!([]);
        value["usage"] = ending.usage();
        value
    }

    fn chunk(&self, delta: Value, reason: Option<&str>) -> Value {
        let mut value = self.object("chat.completion.chunk");
        value["choices"] = json!([{
            "index": 0, "delta": delta, "logprobs": null, "finish_reason": reason,
        }]);
        value
    }

    fn object(&self, kind: &str) -> Value {
        json!({
            "id": self.id, "object": kind, "created": self.created_s, "model": self.model,
            "system_fingerprint": self.fingerprint,
        })
    }
}
