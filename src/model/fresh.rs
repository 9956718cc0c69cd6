//! A fresh adapter of any method: one that changes nothing yet.
//!
//! It knows no training. Invariant: with a fresh adapter a model says what it says without one.

use super::adapter::Adapter;
use super::dora::row_norms;
use super::lora::{LoraLayout, Method, Module};
use super::{Model, ModelError};

impl Model {
    /// A fresh adapter: `LoraLayout::fresh`, with DoRA's magnitudes at the norms of W's rows.
    pub async fn fresh_adapter(
        &self,
        method: Method,
        rank: usize,
        alpha: f32,
        seed: u64,
    ) -> Result<Adapter, ModelError> {
        let layout = LoraLayout::new(&self.config, method, rank);
        let mut adapter = layout.fresh(alpha, seed);
        if method == Method::Dora {
            let norms = row_norms(&self.device, &self.config, &self.weights).await?;
            for (layer, norms) in norms.iter().enumerate() {
                for (module, norms) in Module::ALL.into_iter().zip(norms) {
                    let slot = layout.slot(layer, module);
                    adapter.weights[slot.vector..][..norms.len()].copy_from_slice(norms);
                }
            }
        }
        Ok(adapter)
    }
}
