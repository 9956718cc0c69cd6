//! The model: configuration, weights on a device, adapters beside them, KV cache, forward, sampling, generation.
//! Knows no gradients.

pub mod adapter;
