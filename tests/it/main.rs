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
