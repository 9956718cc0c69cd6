//! `apprentice complete` and `apprentice chat`: one answer, or a conversation.
//!
//! HEAD answers unless an adapter or the base is asked for. Text streams to standard output as it comes.

use super::{Common, adapters, context, output};
use crate::error::Error;
use crate::format::message::Message;
use crate::learn::engine::Engine;
use crate::learn::learner::{LearnError, Learner};
use crate::model::CONTEXT;
use crate::model::generate::{Generation, Progress, StopReason};
use crate::model::sampler::Sampling;
use clap::Args;
use serde_json::json;
use std::io::BufRead;
use std::time::Instant;

/// Which adapter answers, and how tokens are drawn.
#[derive(Args)]
pub struct SamplingArgs {
    /// Temperature; 0 takes the most likely token
    #[arg(long = "temp", default_value_t = 0.0)]
    temperature: f32,
    /// Candidates kept (1 to 64)
    #[arg(long, default_value_t = 40)]
    top_k: usize,
    /// Probability that the candidates kept must reach
    #[arg(long, default_value_t = 0.95)]
    top_p: f32,
    /// Makes tokens seen before less likely; 1 does nothing
    #[arg(long, default_value_t = 1.0)]
    repetition_penalty: f32,
    /// Most tokens to generate
    #[arg(short = 'n', long = "tokens", default_value_t = 256)]
    tokens_max: usize,
    /// Most tokens of the conversation; fewer need less memory
    #[arg(long, default_value_t = CONTEXT)]
    context: usize,
    /// An adapter, a PEFT folder or a GGUF file, with a weight if one is given; several are added. Without it HEAD of
    /// --home answers
    #[arg(long, value_name = "PATH[=WEIGHT]", value_parser = adapters::parse)]
    adapter: Vec<adapters::Weighted>,
    /// Answer with the base model, whatever HEAD is
    #[arg(long, conflicts_with = "adapter")]
    base: bool,
}

/// Arguments of `complete`.
#[derive(Args)]
pub struct CompleteArgs {
    /// The prompt
    #[arg(long)]
    prompt: String,
    /// Continue the prompt as text, without the chat template
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    sampling: SamplingArgs,
}

/// Arguments of `chat`.
#[derive(Args)]
pub struct ChatArgs {
    /// Instructions that come before the conversation
    #[arg(long)]
    system: Option<String>,
    #[command(flatten)]
    sampling: SamplingArgs,
}

impl SamplingArgs {
    fn sampling(&self, seed: u64) -> Result<Sampling, Error> {
        let positive = |x: f32| x.is_finite() && x > 0.0;
        let cool = self.temperature == 0.0 || positive(self.temperature);
        if !cool || !positive(self.top_p) || !positive(self.repetition_penalty) {
            let text = "--temp must be 0 or more, --top-p and --repetition-penalty above 0";
            return Err(Error::Misuse(text.into()));
        }
        Ok(Sampling {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            repetition_penalty: self.repetition_penalty,
            seed,
        })
    }

    async fn engine(&self, common: &Common) -> Result<Engine, Error> {
        let mut engine = context::engine_for(common, self.context).await?;
        let adapter = adapters::read_all(&engine.model.config, &self.adapter).await?;
        if adapter.is_some() {
            engine.model.set_adapter(adapter.as_ref())?;
        } else if !self.base {
            serve_head(common, &mut engine).await?;
        }
        Ok(engine)
    }
}

/// Puts HEAD of the home folder in place.
pub async fn serve_head(common: &Common, engine: &mut Engine) -> Result<(), Error> {
    let learner = Learner::open(context::store(common)?, context::clock(), common.seed).await?;
    for warning in learner.warnings() {
        eprintln!("warning: {warning}");
    }
    if let Some(head) = learner.head()
        && head.base_hash != engine.model.base_hash
    {
        return Err(LearnError::OtherBase { version: head.id.clone() }.into());
    }
    let adapter = learner.head_adapter().await?;
    engine.model.set_adapter(adapter.as_ref())?;
    Ok(())
}

/// A generation with its times.
struct Timed {
    generation: Generation,
    prefill_seconds: f64,
    decode_seconds: f64,
}

async fn generate(
    engine: &mut Engine,
    prompt: &[u32],
    tokens_max: usize,
    sampling: &Sampling,
    show: bool,
) -> Result<Timed, Error> {
    let start = Instant::now();
    let mut prefilled = start;
    let mut failed = None;
    let cancel = engine.cancel.clone();
    let mut on_progress = |progress: Progress<'_>| {
        match progress {
            Progress::Prefilled => prefilled = Instant::now(),
            Progress::Text(more) if show => failed = output::text(more).err(),
            Progress::Text(_) => {}
        }
        failed.is_none()
    };
    let model = &mut engine.model;
    let generation =
        model.generate(prompt, tokens_max, sampling, &cancel, &mut on_progress).await?;
    match failed {
        Some(error) => Err(error),
        None => Ok(Timed {
            generation,
            prefill_seconds: (prefilled - start).as_secs_f64(),
            decode_seconds: prefilled.elapsed().as_secs_f64(),
        }),
    }
}

pub async fn complete(common: &Common, args: CompleteArgs) -> Result<(), Error> {
    let sampling = args.sampling.sampling(common.seed)?;
    let mut engine = args.sampling.engine(common).await?;
    let prompt = if args.raw {
        engine.model.tokenizer.encode_whole(&args.prompt, true)
    } else {
        engine.prompt(&[Message::user(&args.prompt)])?
    };
    let n = args.sampling.tokens_max;
    let timed = generate(&mut engine, &prompt, n, &sampling, !common.json).await?;
    let Timed { generation, prefill_seconds, decode_seconds } = timed;
    if !common.json {
        return output::line("");
    }
    // The first token comes out of the prefill; the rest are decoded one by one.
    let decoded = generation.tokens.len().saturating_sub(1);
    output::json(&json!({
        "text": generation.text,
        "tokens": generation.tokens,
        "prompt_tokens": generation.prompt_tokens,
        "generated_tokens": generation.tokens.len(),
        "prefill_tokens_per_s": prompt.len() as f64 / prefill_seconds,
        "decode_tokens_per_s": decoded as f64 / decode_seconds,
        "stop_reason": generation.stop_reason,
    }))
}

pub async fn chat(common: &Common, args: ChatArgs) -> Result<(), Error> {
    let sampling = args.sampling.sampling(common.seed)?;
    let mut engine = args.sampling.engine(common).await?;
    let mut messages: Vec<Message> = Vec::new();
    if let Some(system) = args.system {
        messages.push(Message { role: "system".into(), content: system });
    }
    eprintln!(
        "{} on {} ({}); an empty line ends the conversation",
        engine.model.config.name,
        engine.model.device.kind(),
        engine.model.device.adapter_name()
    );
    let mut lines = std::io::stdin().lock().lines();
    loop {
        eprint!("> ");
        let Some(line) = lines.next() else { break };
        let line = line.map_err(|error| Error::Output(error.to_string()))?;
        if line.trim().is_empty() {
            break;
        }
        messages.push(Message::user(line));
        let prompt = engine.prompt(&messages)?;
        let n = args.sampling.tokens_max;
        let timed = generate(&mut engine, &prompt, n, &sampling, !common.json).await?;
        let text = timed.generation.text.trim().to_string();
        if common.json {
            let reason = timed.generation.stop_reason;
            output::json(&json!({ "role": "assistant", "content": text, "stop_reason": reason }))?;
        } else {
            output::line("")?;
        }
        if timed.generation.stop_reason == StopReason::Length {
            eprintln!("(the answer was cut at {n} tokens)");
        }
        messages.push(Message::assistant(text));
    }
    Ok(())
}
