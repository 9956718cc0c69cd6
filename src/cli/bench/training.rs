//! Steps of LoRA training: tokens a second, and dispatches a step.
//!
//! Rank 8 on all seven linears, one sequence of which every token counts. Invariant: the model is left without an adapter.

use super::plan::Plan;
use super::stats::{median, tokens};
use crate::error::Error;
use crate::learn::engine::Engine;
use crate::model::lora::{LoraLayout, Method};
use crate::train::{Goal, Sequence, Trainer};
use serde_json::{Value, json};
use std::time::Instant;

/// The adapter's rank.
const RANK: usize = 8;

/// Tokens a second of a step on `n` tokens.
pub async fn training(engine: &mut Engine, n: usize, plan: &Plan) -> Result<Value, Error> {
    let layout = LoraLayout::new(&engine.model.config, Method::Lora, RANK);
    engine.model.set_adapter(Some(&layout.fresh(16.0, 1)))?;
    let mut trainer = Trainer::new(&engine.model, &layout, n)?;
    let sequence = Sequence {
        tokens: tokens(n, engine.model.config.vocab, 0),
        counted: vec![true; n],
        goal: Goal::Tokens,
        weight: 1.0,
    };
    let mut speeds = Vec::new();
    let mut dispatches = 0;
    for run in 0..=plan.runs {
        let before = engine.model.device.stats();
        let start = Instant::now();
        trainer.zero_grad()?;
        trainer.accumulate(&engine.model, std::slice::from_ref(&sequence)).await?;
        // A rate of zero leaves the adapter as it is, and costs what any other costs.
        trainer.step(&mut engine.model, 0.0, 1.0).await?;
        engine.model.device.finish().await?;
        if run > 0 {
            speeds.push(n as f64 / start.elapsed().as_secs_f64());
        }
        dispatches = engine.model.device.stats().dispatches - before.dispatches;
    }
    engine.model.set_adapter(None)?;
    Ok(json!({
        "tokens": n, "rank": RANK, "tokens_per_s": median(speeds), "dispatches_per_step": dispatches,
    }))
}
