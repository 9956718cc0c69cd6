//! The integration tests: one binary, a module a subject.

mod common;
mod format;
mod golden_tokenization;
mod gradients;
mod kernels;
mod quant;
mod shaders;
