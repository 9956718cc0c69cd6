//! Decoding of several texts side by side: tokens a second over all of them.
//!
//! Each text is one token of prompt and as many decoded ones as asked for.

use super::{BenchArgs, median};
use crate::error::Error;
use crate::learn::engine::Engine;
use crate::model::batch::{Job, STREAMS_MAX};
use crate::model::sampler::Sampling;
use serde_json::{Value, json};
use std::time::Instant;

/// Tokens a second of several texts side by side, their short prompts included.
pub async fn batches(engine: &mut Engine, args: &BenchArgs) -> Result<Vec<Value>, Error> {
    let vocab = engine.model.config.vocab;
    let mut results = Vec::new();
    for streams in [1, 2, 4, 8, STREAMS_MAX] {
        let job = |i: usize| Job {
            prompt: vec![((i + 1) * 7919 % vocab) as u32],
            tokens_max: args.decode,
            sampling: Sampling::default(),
        };
        let jobs: Vec<Job> = (0..streams).map(job).collect();
        let mut speeds = Vec::new();
        for run in 0..=args.runs {
            let start = Instant::now();
            let cancel = engine.cancel.clone();
            let texts = engine.model.generate_batch(&jobs, &cancel, &|_| false).await?;
            engine.model.device.finish().await?;
            let tokens: usize = texts.iter().map(|text| text.tokens.len()).sum();
            if run > 0 {
                speeds.push(tokens as f64 / start.elapsed().as_secs_f64());
            }
        }
        results.push(json!({ "streams": streams, "tokens_per_s": median(speeds) }));
    }
    Ok(results)
}
