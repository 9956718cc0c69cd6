//! Prefill of a prompt, and decoding behind one: tokens a second, and what a decoded token asks of the device.
//!
//! Greedy, without an adapter. Invariant: the first run, which compiles shaders and warms caches, is not counted.

use super::plan::Plan;
use super::stats::{median, tokens};
use crate::device::Stats;
use crate::error::Error;
use crate::learn::engine::Engine;
use crate::model::generate::Progress;
use crate::model::sampler::Sampling;
use serde_json::{Value, json};
use std::time::Instant;

/// Tokens of the prompt before the first token of a program that has just begun.
const FIRST_PROMPT: usize = 16;
/// Prompts to try for one that the model does not end at once.
const PROMPTS_MAX: usize = 16;

/// One answer: when its prompt was in, when all of it was there, and what was counted between.
struct Run {
    prefill_s: f64,
    decode_s: f64,
    /// Tokens behind the first, which comes out of the prefill.
    decoded: usize,
    dispatches: u64,
    submits: u64,
}

async fn run(engine: &mut Engine, prompt: &[u32], tokens_max: usize) -> Result<Run, Error> {
    let cancel = engine.cancel.clone();
    let device = engine.model.device.clone();
    let start = Instant::now();
    let mut prefilled: (Instant, Stats) = (start, device.stats());
    let mut on_progress = |progress: Progress<'_>| {
        if matches!(progress, Progress::Prefilled) {
            prefilled = (Instant::now(), device.stats());
        }
        true
    };
    let sampling = Sampling::default();
    let model = &mut engine.model;
    let answer = model.generate(prompt, tokens_max, &sampling, &cancel, &mut on_progress).await?;
    device.finish().await?;
    let (at, before) = prefilled;
    let after = device.stats();
    Ok(Run {
        prefill_s: (at - start).as_secs_f64(),
        decode_s: at.elapsed().as_secs_f64(),
        decoded: answer.tokens.len().saturating_sub(1),
        dispatches: after.dispatches - before.dispatches,
        submits: after.submits - before.submits,
    })
}

/// Answers one short prompt with one token.
pub async fn first_token(engine: &mut Engine) -> Result<(), Error> {
    let n = FIRST_PROMPT.min(engine.model.context() - 1);
    let prompt = tokens(n, engine.model.config.vocab, 0);
    run(engine, &prompt, 1).await.map(|_| ())
}

/// Tokens a second of a prompt of `n` tokens.
pub async fn prefill(engine: &mut Engine, n: usize, plan: &Plan) -> Result<Value, Error> {
    let prompt = tokens(n, engine.model.config.vocab, 0);
    let mut speeds = Vec::new();
    for i in 0..=plan.runs {
        engine.model.clear_cache();
        let run = run(engine, &prompt, 1).await?;
        if i > 0 {
            speeds.push(n as f64 / run.prefill_s);
        }
    }
    Ok(json!({ "tokens": n, "tokens_per_s": median(speeds) }))
}

/// Tokens a second behind a prompt of `n` tokens, and counts of a token. The prompt's keys stay in the cache between runs.
pub async fn decode(engine: &mut Engine, n: usize, plan: &Plan) -> Result<Value, Error> {
    let prompt = prompt_that_goes_on(engine, n, plan.decode).await?;
    let mut speeds = Vec::new();
    let mut counts = (0.0, 0.0);
    for _ in 0..plan.runs {
        let run = run(engine, &prompt, plan.decode + 1).await?;
        let decoded = run.decoded as f64;
        speeds.push(decoded / run.decode_s);
        counts = (run.dispatches as f64 / decoded, run.submits as f64 / decoded);
    }
    Ok(json!({
        "context": n, "tokens_per_s": median(speeds), "dispatches_per_token": counts.0,
        "submits_per_token": counts.1, "bytes_per_token": bytes(engine, n + plan.decode / 2),
    }))
}

/// A prompt after which the model has something to say; it is in the cache afterwards.
async fn prompt_that_goes_on(
    engine: &mut Engine,
    n: usize,
    decode: usize,
) -> Result<Vec<u32>, Error> {
    for start in 0..PROMPTS_MAX {
        let prompt = tokens(n, engine.model.config.vocab, start);
        if run(engine, &prompt, decode + 1).await?.decoded == decode {
            return Ok(prompt);
        }
    }
    let text =
        format!("the model ends its answers before {decode} tokens; give a smaller --decode");
    Err(Error::Misuse(text))
}

/// Bytes that a token must read: every matrix once (of an embedding apart from the head one row, which is left out) and the
/// keys and values of `keys` tokens.
fn bytes(engine: &Engine, keys: usize) -> u64 {
    let (config, weights) = (&engine.model.config, &engine.model.weights);
    let looked_up = weights.head.as_ref().map_or(0, |_| weights.embedding.bytes());
    let row = 4 * 2 * config.kv_heads * config.head_dim;
    weights.bytes() - looked_up + (config.layers * keys * row) as u64
}
