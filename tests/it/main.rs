//! The integration tests: one binary, a module a subject.
//!
//! Most modules have a stage of `cargo xtask test` of their own; `unit` runs those that have none. Nothing is
//! asserted here. Invariant: a module that is not named below does not run.

#![allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion, in helpers too")]

mod adapters;
mod bench;
mod chat;
mod chat_constructs;
mod clamped;
mod common;
mod composed;
mod constraint;
mod crash;
mod decoding;
mod distance;
mod format;
mod fuzz;
mod generate;
mod gguf_adapter;
mod golden;
mod golden_tokenization;
mod gradients;
mod guards;
mod kernels;
mod learn_adopt;
mod learn_audit;
mod learn_bytes;
mod learn_compare;
mod learn_cycle;
mod learn_damage;
mod learn_drift;
mod learn_ewc;
mod learn_exchange;
mod learn_fake;
mod learn_forget;
mod learn_gate;
mod learn_history;
mod learn_merge;
mod learn_open;
mod learn_property;
mod learn_prune;
mod learn_recipe;
mod learn_replay;
mod learn_resume;
mod learn_run;
mod learn_scope;
mod learn_screen;
mod learn_small;
mod learning;
mod lessons;
mod memory;
mod merge;
mod peft;
mod quant;
mod quant_k;
mod quant_vectors;
mod quantize;
mod score;
mod serve;
mod shaders;
mod simulate;
mod store;
mod tidy;
mod tiny;
mod tokenizers;
mod training;
mod tuning;
