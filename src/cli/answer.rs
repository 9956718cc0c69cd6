//! `apprentice complete` and `apprentice chat`: one answer, the answers to a file of questions, or a conversation.
//!
//! HEAD answers unless an adapter or the base is asked for. Text streams to standard output as it comes.

use super::{Common, adapters, context, output};
use crate::error::Error;
use crate::format::lessons::{Conversation, read_conversations};
use crate::format::message::Message;
use crate::learn::engine::Engine;
use crate::learn::example::Content;
use crate::learn::learner::{LearnError, Learner};
use crate::learn::student::{Student, greedy};
use crate::learn::words::says;
use crate::model::CONTEXT;
use crate::model::generate::{Generation, Progress, StopReason};
use crate::model::sampler::Sampling;
use clap::Args;
use serde_json::json;
use std::fs;
use std::io::BufRead;
use std::path::{Path, PathBuf};
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
    #[arg(long, required_unless_present = "file")]
    prompt: Option<String>,
    /// Answer every question of a file of lessons (.jsonl) and its rephrasings greedily, a line of JSON each: prompt,
    /// text, whether the text says the lesson's answer, and whether the prompt is near what HEAD learned
    #[arg(long, conflicts_with_all = ["prompt", "raw"])]
    file: Option<PathBuf>,
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
    Ok(learner.serve(engine, learner.head()).await?)
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
    if let Some(path) = &args.file {
        return answer_file(&mut engine, path, args.sampling.tokens_max).await;
    }
    let text = args.prompt.unwrap_or_default();
    let prompt = if args.raw {
        engine.aim_text(&text);
        engine.model.tokenizer.encode_whole(&text, true)
    } else {
        let messages = [Message::user(text)];
        engine.aim(&messages);
        engine.prompt(&messages)?
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

/// Answers a file's questions, several side by side.
async fn answer_file(engine: &mut Engine, path: &Path, tokens_max: usize) -> Result<(), Error> {
    const AT_ONCE: usize = 16;
    let text = fs::read_to_string(path).map_err(|error| Error::file(path, &error))?;
    let lessons = read_conversations(&path.display().to_string(), &text)?;
    let asked: Vec<(Content, &str, &Conversation)> = lessons.iter().flat_map(wordings).collect();
    for group in asked.chunks(AT_ONCE) {
        let job = |(content, wording, _): &(Content, &str, _)| {
            (content.asking(wording), greedy(tokens_max))
        };
        let jobs: Vec<_> = group.iter().map(job).collect();
        let answers = engine.answers(&jobs).await.map_err(LearnError::from)?;
        for ((content, wording, lesson), text) in group.iter().zip(answers) {
            let (question, answer) = content.question_answer().unwrap_or_default();
            let says = says(&text, &[question, wording], answer, lesson.rejected.as_deref());
            let near = engine.covers(&content.asking(wording));
            let line = json!({ "prompt": wording, "text": text, "says": says, "near": near });
            output::json(&line)?;
        }
    }
    Ok(())
}

/// A lesson's question in each of its wordings, the one as taught first.
fn wordings(lesson: &Conversation) -> impl Iterator<Item = (Content, &str, &Conversation)> {
    let content = Content::Chat(lesson.messages.clone());
    let question = lesson.messages.iter().rev().nth(1).map(|message| message.content.as_str());
    let all = question.into_iter().chain(lesson.rephrasings.iter().map(String::as_str));
    all.map(move |wording| (content.clone(), wording, lesson))
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
        engine.aim(&messages);
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
