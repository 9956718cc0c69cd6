//! `apprentice train`: plain fine-tuning of an adapter on a file of conversations; writes a PEFT adapter.
//!
//! No replay and no gate: this is for engineers who want the trainer alone. Examples are drawn in seeded epochs,
//! packed, and an epoch's order depends on the seed only.

use super::{Common, adapters, context, output};
use crate::error::Error;
use crate::format::chat::LearnedTurns;
use crate::format::lessons::{self, Lessons};
use crate::learn::engine::Engine;
use crate::model::PASS_ROWS;
use crate::model::adapter::Adapter;
use crate::model::lora::{LoraLayout, Method};
use crate::model::random::Random;
use crate::model::score::Scored;
use crate::model::workspace::RANK_MAX;
use crate::train::{Goal, Schedule, Sequence, Trainer};
use clap::Args;
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

/// Arguments of `train`.
#[derive(Args)]
pub struct TrainArgs {
    /// Conversations as JSON lines: {"messages":[{"role":…,"content":…}, …]}
    #[arg(long)]
    data: PathBuf,
    /// Folder for the PEFT adapter
    #[arg(long)]
    out: PathBuf,
    /// An adapter to start from: a PEFT folder or a GGUF file
    #[arg(long, value_name = "PATH")]
    adapter: Option<PathBuf>,
    /// What a fresh adapter trains
    #[arg(long, value_name = "lora|rslora|dora|ia3", default_value_t = Method::Lora)]
    method: Method,
    /// LoRA+: B learns so many times as fast as A, of which --lr is the rate
    #[arg(long, value_name = "RATIO", default_value_t = 1.0)]
    lora_plus: f32,
    /// LoRA rank of a fresh adapter
    #[arg(long, default_value_t = 8)]
    rank: usize,
    /// LoRA alpha of a fresh adapter
    #[arg(long, default_value_t = 16.0)]
    alpha: f32,
    /// Peak learning rate
    #[arg(long, default_value_t = 2e-4)]
    lr: f32,
    /// Optimizer steps
    #[arg(long, default_value_t = 100)]
    steps: usize,
    /// Examples a step
    #[arg(long, default_value_t = 4)]
    batch: usize,
    /// Most tokens of an example; longer ones lose their beginning
    #[arg(long, default_value_t = 256)]
    context: usize,
    /// Most tokens of a pass, which examples share; fewer need less memory [default: 512]
    #[arg(long)]
    tokens: Option<usize>,
}

impl TrainArgs {
    fn check(&self, context_max: usize) -> Result<(), Error> {
        let rules = [
            ((1..=RANK_MAX).contains(&self.rank), format!("--rank must be 1 to {RANK_MAX}")),
            (self.alpha > 0.0 && self.alpha.is_finite(), "--alpha must be above 0".into()),
            (self.lr > 0.0 && self.lr.is_finite(), "--lr must be above 0".into()),
            (
                self.lora_plus > 0.0 && self.lora_plus.is_finite(),
                "--lora-plus must be above 0".into(),
            ),
            (self.steps > 0, "--steps must be 1 or more".into()),
            (self.batch > 0, "--batch must be 1 or more".into()),
            (
                (2..=context_max).contains(&self.context),
                format!("--context must be 2 to {context_max}"),
            ),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(Error::Misuse(rule)),
            None => Ok(()),
        }
    }

    /// The adapter that is trained: the one that was given, or a fresh one.
    async fn start(&self, engine: &Engine, seed: u64) -> Result<Adapter, Error> {
        let start = match &self.adapter {
            Some(path) => adapters::read(&engine.model.config, path).await?,
            None => engine.model.fresh_adapter(self.method, self.rank, self.alpha, seed).await?,
        };
        let method = start.method;
        if self.lora_plus != 1.0 && !method.has_pairs() {
            let rule = format!("--lora-plus sets B's rate beside A's; {method} has neither");
            return Err(Error::Misuse(rule));
        }
        Ok(start)
    }

    fn load(&self, engine: &Engine) -> Result<Vec<Scored>, Error> {
        let bytes = fs::read(&self.data).map_err(|error| Error::file(&self.data, &error))?;
        let name = self.data.display().to_string();
        let model = &engine.model;
        let mut all = Vec::new();
        match lessons::read_lessons(&name, &bytes, 4 * self.context)? {
            Lessons::Conversations(conversations) => {
                for conversation in conversations {
                    let (tokens, counted) = model.template.encode_for_training(
                        &model.tokenizer,
                        &conversation.messages,
                        LearnedTurns::Every,
                    )?;
                    all.push(Scored { tokens, counted }.fit(self.context));
                }
            }
            Lessons::Passages(passages) => {
                for passage in passages {
                    let tokens = model.tokenizer.encode_whole(&passage, false);
                    let counted = vec![true; tokens.len()];
                    all.push(Scored { tokens, counted }.fit(self.context));
                }
            }
        }
        all.retain(|scored| scored.counted.iter().skip(1).any(|counted| *counted));
        if all.is_empty() {
            return Err(Error::Misuse(format!("{name}: no token to learn; add conversations")));
        }
        Ok(all)
    }
}

/// Examples in seeded epochs: each comes once before any comes again.
struct Epochs {
    order: Vec<usize>,
    at: usize,
    random: Random,
}

impl Epochs {
    fn next(&mut self) -> usize {
        if self.at == 0 {
            self.random.shuffle(&mut self.order);
        }
        let index = self.order[self.at];
        self.at = (self.at + 1) % self.order.len();
        index
    }
}

pub async fn train(common: &Common, args: TrainArgs) -> Result<(), Error> {
    // Nothing is answered here: there need be no room for a conversation longer than a pass.
    let mut engine = context::engine_for(common, PASS_ROWS).await?;
    let rows = args.tokens.unwrap_or(PASS_ROWS).min(engine.model.pass_rows());
    args.check(rows)?;
    let examples = args.load(&engine)?;
    let start = args.start(&engine, common.seed).await?;
    engine.model.set_adapter(Some(&start))?;
    let layout = LoraLayout::of(&engine.model.config, &start);
    let mut trainer = Trainer::new(&engine.model, &layout, rows)?;
    trainer.set_b_ratio(args.lora_plus);
    let warmup = (args.steps / 10).clamp(1, 10);
    let schedule = Schedule { peak: args.lr, warmup, steps: args.steps };
    let order = (0..examples.len()).collect();
    let mut epochs = Epochs { order, at: 0, random: Random::new(common.seed) };
    let began = Instant::now();
    let (mut tokens, mut first, mut last) = (0, 0.0, 0.0);
    for step in 0..args.steps {
        let step_began = Instant::now();
        let batch: Vec<Sequence> = (0..args.batch)
            .map(|_| {
                let Scored { tokens, counted } = examples[epochs.next()].clone();
                Sequence { tokens, counted, goal: Goal::Tokens, weight: 1.0 / args.batch as f32 }
            })
            .collect();
        trainer.zero_grad()?;
        let loss = trainer.accumulate(&engine.model, &batch).await?;
        let grad_norm = trainer.step(&mut engine.model, schedule.rate(step), 1.0).await?;
        tokens += loss.rows;
        last = loss.tokens;
        if step == 0 {
            first = last;
        }
        let tokens_per_s = loss.rows as f64 / step_began.elapsed().as_secs_f64();
        if common.json {
            output::json(&json!({
                "step": step + 1, "loss": loss.tokens, "grad_norm": grad_norm,
                "tokens_per_s": tokens_per_s,
            }))?;
        } else {
            output::line(&format!(
                "step {:4}  loss {:.4}  grad {grad_norm:.3}  {tokens_per_s:.0} tokens/s",
                step + 1,
                loss.tokens
            ))?;
        }
    }
    let lora = engine.model.lora().ok_or(crate::train::TrainError::NoAdapter)?;
    let adapter = lora.download(&engine.model.device).await?;
    adapters::write_peft(&engine.model.config, &adapter, &args.out)?;
    let seconds = began.elapsed().as_secs_f64();
    let peak = engine.model.device.stats().bytes_peak;
    if common.json {
        return output::json(&json!({
            "steps": args.steps, "loss_first": first, "loss_last": last, "seconds": seconds,
            "tokens": tokens, "tokens_per_s": tokens as f64 / seconds,
            "trainable_parameters": layout.parameters(), "peak_device_bytes": peak,
            "out": args.out,
        }));
    }
    output::line(&format!(
        "loss {first:.4} to {last:.4} in {seconds:.1} s; {} MiB of the device at most; adapter in {}",
        peak >> 20,
        args.out.display()
    ))
}
