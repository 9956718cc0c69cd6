//! What a client is told that asked for what cannot be: HTTP's status and OpenAI's error object.
//!
//! It knows no sockets. Invariant: a refusal says what is wrong in one sentence, and names the parameter where there is one,
//! so that a client's own error shows it.

use crate::error::Error;
use crate::learn::learner::LearnError;
use crate::model::ModelError;
use crate::store::StoreError;
use serde_json::{Value, json};

/// Why a request is not done.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// HTTP's status.
    pub status: u16,
    message: String,
    param: Option<String>,
    code: Option<&'static str>,
}

impl Refusal {
    /// A request that cannot be: status 400.
    pub fn bad(message: impl Into<String>) -> Refusal {
        Refusal { status: 400, message: message.into(), param: None, code: None }
    }

    /// A parameter that cannot be, or that is not known here.
    pub fn of(param: impl Into<String>, message: impl Into<String>) -> Refusal {
        Refusal { param: Some(param.into()), ..Refusal::bad(message) }
    }

    /// The same with another status.
    pub fn with_status(self, status: u16) -> Refusal {
        Refusal { status, ..self }
    }

    /// The same with OpenAI's word for the case.
    pub fn with_code(self, code: &'static str) -> Refusal {
        Refusal { code: Some(code), ..self }
    }

    /// The same of a field within another.
    pub fn within(self, outer: &str) -> Refusal {
        let param = self.param.map_or(outer.to_string(), |inner| format!("{outer}.{inner}"));
        Refusal { param: Some(param), ..self }
    }

    /// Whether the same request may be granted a little later.
    pub fn is_passing(&self) -> bool {
        self.status == 503
    }

    /// OpenAI's error object.
    pub fn body(&self) -> Value {
        let kind = if self.status < 500 { "invalid_request_error" } else { "server_error" };
        json!({ "error": {
            "message": self.message, "type": kind, "param": self.param, "code": self.code,
        } })
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        let refusal = Refusal::bad(error.to_string());
        match error {
            Error::Misuse(_) | Error::Format(_) | Error::Model(ModelError::Format(_)) => refusal,
            Error::Model(ModelError::Context { .. }) => {
                let refusal = Refusal { param: Some("messages".into()), ..refusal };
                refusal.with_code("context_length_exceeded")
            }
            Error::Model(ModelError::Schema { .. }) => {
                Refusal { param: Some("response_format".into()), ..refusal }
            }
            Error::Learn(LearnError::Example(_) | LearnError::Anchors(_)) => refusal,
            Error::Learn(LearnError::NoVersion(_) | LearnError::Ambiguous(_)) => {
                let refusal = Refusal { param: Some("model".into()), ..refusal };
                refusal.with_status(404).with_code("model_not_found")
            }
            Error::Learn(LearnError::Store(StoreError::Held { .. }))
            | Error::Store(StoreError::Held { .. }) => refusal.with_status(503),
            _ => refusal.with_status(500),
        }
    }
}

impl From<LearnError> for Refusal {
    fn from(error: LearnError) -> Refusal {
        Error::from(error).into()
    }
}

impl From<ModelError> for Refusal {
    fn from(error: ModelError) -> Refusal {
        Error::from(error).into()
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Error::from(error).into()
    }
}
