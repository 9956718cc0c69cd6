//! Steps of LoRA training: tokens a second, and dispatches a step.
//!
//! Invariant: the model is left without an adapter.

use super::{BenchArgs, median};
use crate::error::Error;
use crate::learn::engine::Engine;
use crate::model::lora::LoraLayout;
use crate::train::{Goal, Sequence, Trainer};
use serde_json::{Value, json};
use std::time::Instant;

/// A step of rank 8 on one sequence of `tokens`, of which all count.
pub async fn training(
    engine: &mut Engine,
    tokens: &[u32],
    args: &BenchArgs,
) -> Result<Value, Error> {
    let layout = LoraLayout::new(&engine.model.config, 8);
    engine.model.set_adapter(Some(&layout.fresh(16.0, 1)))?;
    let mut trainer = Trainer::new(&engine.model, &layout, tokens.len())?;
    let sequence = Sequence {
        tokens: tokens.to_vec(),
        counted: vec![true; tokens.len()],
        goal: Goal::Tokens,
        weight: 1.0,
    };
    let mut speeds = Vec::new();
    let mut dispatches = 0;
    for run in 0..=args.runs {
        let before = engine.model.device.stats();
        let start = Instant::now();
        trainer.zero_grad()?;
        trainer.accumulate(&engine.model, std::slice::from_ref(&sequence)).await?;
        // A rate of zero leaves the adapter as it is, and costs what any other costs.
        trainer.step(&mut engine.model, 0.0, 1.0).await?;
        engine.model.device.finish().await?;
        if run > 0 {
            speeds.push(tokens.len() as f64 / start.elapsed().as_secs_f64());
        }
        dispatches = engine.model.device.stats().dispatches - before.dispatches;
    }
    engine.model.set_adapter(None)?;
    Ok(json!({
        "tokens": tokens.len(), "rank": 8, "tokens_per_s": median(speeds),
        "dispatches_per_step": dispatches,
    }))
}
