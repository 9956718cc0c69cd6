//! The integration tests: one binary, a module a subject.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error it met")]
#![allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion, in helpers too")]

mod chat;
mod common;
mod format;
mod golden;
mod golden_tokenization;
mod learn_gate;
mod lessons;
mod peft;
mod quant;
mod store;
mod tidy;
