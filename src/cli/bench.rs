//! `apprentice bench`: decode, prefill and training tokens a second, and dispatches and bytes a token.
//!
//! Medians of several runs; the counts come from the recorder and do not depend on the machine.

use super::{Common, context, output};
use crate::error::Error;
use crate::learn::engine::Engine;
use crate::model::batch::{Job, STREAMS_MAX};
use crate::model::generate::Progress;
use crate::model::lora::LoraLayout;
use crate::model::sampler::Sampling;
use crate::train::{Goal, Sequence, Trainer};
use clap::Args;
use serde_json::{Value, json};
use std::time::Instant;

/// Arguments of `bench`.
#[derive(Args)]
pub struct BenchArgs {
    /// Prompt tokens of the prefill, and tokens of a training step
    #[arg(long, default_value_t = 128)]
    prompt: usize,
    /// Tokens to decode
    #[arg(long, default_value_t = 64)]
    decode: usize,
    /// Runs, of which the median counts
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

pub async fn bench(common: &Common, args: BenchArgs) -> Result<(), Error> {
    let mut engine = context::engine(common).await?;
    let most = engine.model.pass_rows().min(engine.model.context() / 2);
    if args.prompt < 2 || args.prompt > most || args.decode < 2 || args.runs == 0 {
        return Err(Error::Misuse(format!(
            "--prompt must be 2 to {most}, --decode 2 or more, --runs 1 or more"
        )));
    }
    // Any tokens do: speed does not depend on which. A fixed stride keeps them apart.
    let vocab = engine.model.config.vocab;
    let prompt: Vec<u32> = (0..args.prompt).map(|i| ((i * 7919) % vocab) as u32).collect();
    let generation = generation(&mut engine, &prompt, &args).await?;
    let batches = batches(&mut engine, &args).await?;
    let training = training(&mut engine, &prompt, &args).await?;
    let device = &engine.model.device;
    let result = json!({
        "model": engine.model.config.name, "device": device.kind(),
        "adapter": device.adapter_name(), "runs": args.runs,
        "generation": generation, "batches": batches, "training": training,
        "weight_bytes": engine.model.weights.bytes(), "peak_device_bytes": device.stats().bytes_peak,
    });
    if common.json {
        return output::json(&result);
    }
    let number = |value: &Value| format!("{:9.1}", value.as_f64().unwrap_or(f64::NAN));
    output::line(&format!(
        "{} on {} ({})",
        engine.model.config.name,
        device.kind(),
        device.adapter_name()
    ))?;
    output::line(&format!(
        "prefill  {} tokens/s",
        number(&result["generation"]["prefill_tokens_per_s"])
    ))?;
    output::line(&format!(
        "decode   {} tokens/s",
        number(&result["generation"]["decode_tokens_per_s"])
    ))?;
    for batch in result["batches"].as_array().into_iter().flatten() {
        let speed = number(&batch["tokens_per_s"]);
        output::line(&format!("decode   {speed} tokens/s, {:2} texts at once", batch["streams"]))?;
    }
    output::line(&format!("training {} tokens/s", number(&result["training"]["tokens_per_s"])))?;
    output::line(&format!(
        "a decoded token: {} dispatches, {} submits, {:.1} MB bound; peak {} MiB",
        result["generation"]["dispatches_per_token"],
        result["generation"]["submits_per_token"],
        engine.model.weights.bytes() as f64 / 1e6,
        device.stats().bytes_peak >> 20
    ))
}

async fn generation(engine: &mut Engine, prompt: &[u32], args: &BenchArgs) -> Result<Value, Error> {
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

/// Tokens a second of several texts side by side, their short prompts included.
async fn batches(engine: &mut Engine, args: &BenchArgs) -> Result<Vec<Value>, Error> {
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

async fn training(engine: &mut Engine, tokens: &[u32], args: &BenchArgs) -> Result<Value, Error> {
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

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
