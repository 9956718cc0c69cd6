//! The integration tests: one binary, a module a subject.

mod chat;
mod common;
mod format;
mod golden_tokenization;
mod learn_gate;
mod lessons;
mod peft;
mod quant;
mod store;
mod tidy;
#![allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion, in helpers too")]
