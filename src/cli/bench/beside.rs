//! Decoding beside an adapter and without it, turn by turn: what the adapter costs a token; and what a switch costs.
//!
//! The adapter's B is zero, so that both write the same text. Invariant: what comes once an adapter (its copy for decoding)
//! is the switch's and not a token's, and the first pair of runs is not counted.

use super::plan::Plan;
use super::stats::median;
use crate::error::Error;
use crate::learn::engine::Engine;
use crate::model::adapter::Adapter;
use crate::model::generate::Progress;
use crate::model::lora::{LoraLayout, Method};
use crate::model::sampler::Sampling;
use serde_json::{Value, json};
use std::time::Instant;

/// Tokens a second beside an adapter of rank `plan.adapter_rank`; and the median of each pair's time a token beside the
/// adapter over that without, and the same of the two shortest times; and the switch from one such adapter to another.
pub async fn beside(engine: &mut Engine, plan: &Plan) -> Result<Value, Error> {
    let rank = plan.adapter_rank;
    let adapter = LoraLayout::new(&engine.model.config, Method::Lora, rank).fresh(rank as f32, 1);
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for run in 0..=plan.runs {
        engine.model.set_adapter(None)?;
        let alone = decode(engine, plan.decode).await?;
        engine.model.set_adapter(Some(&adapter))?;
        decode(engine, 2).await?;
        let beside = decode(engine, plan.decode).await?;
        if run > 0 {
            without.push(alone);
            with.push(beside);
        }
    }
    let switches = switches(engine, &adapter, plan).await?;
    let least = |seconds: &[f64]| seconds.iter().copied().fold(f64::INFINITY, f64::min);
    let shortest = least(&with) / least(&without);
    let ratios = with.iter().zip(&without).map(|(with, without)| with / without);
    Ok(json!({
        "rank": rank, "tokens_per_s": 1.0 / median(with.clone()),
        "time_ratio": median(ratios.collect()), "shortest_time_ratio": shortest,
        "switch_ms": 1e3 * median(switches), "switch_bytes": 4 * adapter.weights.len(),
    }))
}

/// Seconds from an adapter in the host's memory to a model that is ready to decode with it, after another of the same shape.
async fn switches(engine: &mut Engine, adapter: &Adapter, plan: &Plan) -> Result<Vec<f64>, Error> {
    let mut all = Vec::new();
    for run in 0..=plan.runs {
        let start = Instant::now();
        engine.model.set_adapter(Some(adapter))?;
        engine.model.prepare_adapter()?;
        engine.model.device.finish().await?;
        // The first one allocates.
        if run > 0 {
            all.push(start.elapsed().as_secs_f64());
        }
    }
    engine.model.set_adapter(None)?;
    Ok(all)
}

/// Seconds a token of `n` tokens after a prompt of one.
pub async fn decode(engine: &mut Engine, n: usize) -> Result<f64, Error> {
    engine.model.clear_cache();
    let prompt = [(7919 % engine.model.config.vocab) as u32];
    let mut prefilled = Instant::now();
    let mut on_progress = |progress: Progress<'_>| {
        if matches!(progress, Progress::Prefilled) {
            prefilled = Instant::now();
        }
        true
    };
    let cancel = engine.cancel.clone();
    let sampling = Sampling::default();
    let text = engine.model.generate(&prompt, n + 1, &sampling, &cancel, &mut on_progress).await?;
    engine.model.device.finish().await?;
    let decoded = text.tokens.len().saturating_sub(1).max(1);
    Ok(prefilled.elapsed().as_secs_f64() / decoded as f64)
}
