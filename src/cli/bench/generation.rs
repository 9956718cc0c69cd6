//! Prefill of a prompt and the decoding behind it, tokens a second, and what a decoded token asks of the device.
//!
//! Greedy, without an adapter. Invariant: the first run, which compiles shaders and warms caches, is not counted.

use super::{BenchArgs, median};
use crate::error::Error;
use crate::learn::engine::Engine;
use crate::model::generate::Progress;
use crate::model::sampler::Sampling;
use serde_json::{Value, json};
use std::time::Instant;

/// Medians over the runs.
pub async fn generation(
    engine: &mut Engine,
    prompt: &[u32],
    args: &BenchArgs,
) -> Result<Value, Error> {
    let cancel = engine.cancel.clone();
    let (mut prefill, mut decode) = (Vec::new(), Vec::new());
    let mut per_token = (0.0, 0.0);
    for run in 0..=args.runs {
        engine.model.clear_cache();
        let start = Instant::now();
        let mut prefilled = (start, engine.model.device.stats());
        let device = engine.model.device.clone();
        let mut on_progress = |progress: Progress<'_>| {
            if matches!(progress, Progress::Prefilled) {
                prefilled = (Instant::now(), device.stats());
            }
            true
        };
        let sampling = Sampling::default();
        let tokens_max = args.decode + 1;
        let model = &mut engine.model;
        let generation =
            model.generate(prompt, tokens_max, &sampling, &cancel, &mut on_progress).await?;
        device.finish().await?;
        let seconds = prefilled.0.elapsed().as_secs_f64();
        // The first token comes out of the prefill.
        let decoded = generation.tokens.len().saturating_sub(1).max(1) as f64;
        let stats = device.stats();
        per_token = (
            (stats.dispatches - prefilled.1.dispatches) as f64 / decoded,
            (stats.submits - prefilled.1.submits) as f64 / decoded,
        );
        // The first run compiles shaders and warms caches.
        if run > 0 {
            prefill.push(prompt.len() as f64 / (prefilled.0 - start).as_secs_f64());
            decode.push(decoded / seconds);
        }
    }
    Ok(json!({
        "prompt_tokens": prompt.len(), "prefill_tokens_per_s": median(prefill),
        "decode_tokens_per_s": median(decode),
        "dispatches_per_token": per_token.0, "submits_per_token": per_token.1,
    }))
}
