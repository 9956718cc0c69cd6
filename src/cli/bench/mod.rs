//! `apprentice bench`: decode, prefill and training tokens a second, and dispatches and bytes a token.
//!
//! Medians of several runs; the counts come from the recorder and do not depend on the machine.

mod batches;
mod beside;
mod generation;
mod training;

use super::{Common, context, output};
use crate::error::Error;
use clap::Args;
use serde_json::{Value, json};

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
    /// Rank of the adapter that decoding is timed beside
    #[arg(long, default_value_t = 16)]
    adapter_rank: usize,
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
    let generation = generation::generation(&mut engine, &prompt, &args).await?;
    let beside = beside::beside(&mut engine, &args).await?;
    let batches = batches::batches(&mut engine, &args).await?;
    let training = training::training(&mut engine, &prompt, &args).await?;
    let device = &engine.model.device;
    let result = json!({
        "model": engine.model.config.name, "device": device.kind(),
        "adapter": device.adapter_name(), "runs": args.runs,
        "generation": generation, "beside_adapter": beside, "batches": batches, "training": training,
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
    output::line(&format!(
        "decode   {} tokens/s beside an adapter of rank {}: {:.3} times the time",
        number(&result["beside_adapter"]["tokens_per_s"]),
        args.adapter_rank,
        result["beside_adapter"]["time_ratio"].as_f64().unwrap_or(f64::NAN)
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

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
