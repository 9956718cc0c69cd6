//! The integration tests: one binary, a module a subject.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error it met")]

mod chat;
mod common;
mod format;
mod golden_tokenization;
mod lessons;
mod peft;
mod quant;
