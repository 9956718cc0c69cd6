//! One message of a conversation, as every chat format and the learning loop write it.
//!
//! It knows nothing of templates: how a role becomes tokens is the chat template's business.

use serde::{Deserialize, Serialize};

/// A message: `role` is `system`, `user` or `assistant`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user` or `assistant`.
    pub role: String,
    /// What is said, as plain text.
    pub content: String,
}

impl Message {
    /// A message of the user.
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: "user".into(), content: content.into() }
    }

    /// A message of the assistant.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self { role: "assistant".into(), content: content.into() }
    }
}
