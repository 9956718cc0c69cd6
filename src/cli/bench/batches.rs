//! Decoding of several texts side by side: tokens a second over all of them.
//!
//! Each text is one token of prompt and as many decoded ones as asked for, unless the model ends it before. Invariant: the
//! first run is not counted.

use super::plan::Plan;
use super::stats::{median, tokens};
use crate::error::Error;
use crate::learn::engine::Engine;
use crate::model::batch::Job;
use crate::model::sampler::Sampling;
use serde_json::{Value, json};
use std::time::Instant;

/// Tokens a second of `streams` texts at once.
pub async fn batch(engine: &mut Engine, streams: usize, plan: &Plan) -> Result<Value, Error> {
    let vocab = engine.model.config.vocab;
    let prompts = tokens(streams, vocab, 1).into_iter();
    let job =
        |token| Job { prompt: vec![token], tokens_max: plan.decode, sampling: Sampling::default() };
    let jobs: Vec<Job> = prompts.map(job).collect();
    let mut speeds = Vec::new();
    for run in 0..=plan.runs {
        let start = Instant::now();
        let cancel = engine.cancel.clone();
        let texts = engine.model.generate_batch(&jobs, &cancel, &|_| false).await?;
        engine.model.device.finish().await?;
        let tokens: usize = texts.iter().map(|text| text.tokens.len()).sum();
        if run > 0 {
            speeds.push(tokens as f64 / start.elapsed().as_secs_f64());
        }
    }
    Ok(json!({ "streams": streams, "tokens_per_s": median(speeds) }))
}
