//! `apprentice`: a small language model that learns from its user, on the user's own machine.
//!
//! The layers, lowest floor first; a layer uses only layers on lower floors (`tests/it/tidy.rs` enforces it).

pub mod device;
pub mod error;
pub mod format;
pub mod kernels;
pub mod learn;
pub mod model;
pub mod quant;
pub mod store;
pub mod tensor;
pub mod train;

#[cfg(not(target_arch = "wasm32"))]
pub mod cli;
#[cfg(target_arch = "wasm32")]
pub mod web;
