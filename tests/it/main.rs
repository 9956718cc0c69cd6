//! The integration tests: one binary, a module a subject.

mod chat;
mod common;
mod format;
mod golden_tokenization;
mod lessons;
mod peft;
mod quant;
