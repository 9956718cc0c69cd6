//! `apprentice plan`: what a model and a training run will take of a device's memory, from the file's header alone.
//!
//! Nothing is loaded. The device is opened for its limits only.

use super::{Common, context, output};
use crate::device::{Device, Item};
use crate::error::Error;
use crate::format::gguf::Gguf;
use crate::format::source::FileSource;
use crate::model::config::Config;
use crate::model::method::Method;
use crate::model::workspace::RANK_MAX;
use crate::model::{CONTEXT, PASS_ROWS};
use crate::train::MemoryPlan;
use crate::train::planner::Run;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `plan`.
#[derive(Args)]
pub struct PlanArgs {
    /// The model, a GGUF file [default: --model]
    file: Option<PathBuf>,
    /// What the run trains
    #[arg(long, value_name = "lora|rslora|dora|ia3", default_value_t = Method::Lora)]
    method: Method,
    /// LoRA rank of the run
    #[arg(long, default_value_t = 8)]
    rank: usize,
    /// Most tokens of a training pass
    #[arg(long, default_value_t = PASS_ROWS)]
    tokens: usize,
    /// Most tokens of a conversation
    #[arg(long, default_value_t = CONTEXT)]
    context: usize,
}

pub async fn plan(common: &Common, args: PlanArgs) -> Result<(), Error> {
    if args.context == 0 || args.tokens < 2 || !(1..=RANK_MAX).contains(&args.rank) {
        let rule =
            format!("--rank must be 1 to {RANK_MAX}, --tokens 2 or more, --context 1 or more");
        return Err(Error::Misuse(rule));
    }
    let path = match args.file {
        Some(path) => path,
        None => context::model_path(common)?,
    };
    let gguf = Gguf::read(&mut FileSource::open(&path)?).await?;
    let device = context::device(common).await?;
    let (method, rank, tokens) = (args.method, args.rank, args.tokens);
    let run = Run { method, rank, tokens, ..Run::default() };
    let plan = MemoryPlan::new(device.limits(), &gguf, args.context, Some(run)).await?;
    if common.json {
        output::json(&json!({
            "model": path, "device": device.kind(), "adapter": device.adapter_name(), "run": run,
            "plan": plan,
        }))?;
    } else {
        print(&plan, &device, run, Config::from_gguf(&gguf)?.layers)?;
    }
    Ok(plan.check()?)
}

fn print(plan: &MemoryPlan, device: &Device, run: Run, layers: usize) -> Result<(), Error> {
    let line = |bytes: u64, what: &str| {
        output::line(&format!("{:10.1} MiB  {what}", bytes as f64 / f64::from(1 << 20)))
    };
    let items = |items: &[Item]| items.iter().try_for_each(|item| line(item.bytes, item.what));
    output::line(&format!("on {} ({})", device.kind(), device.adapter_name()))?;
    items(&plan.answering)?;
    let tokens = plan.sizes.context;
    line(plan.answering_bytes, &format!("to answer, {tokens} tokens of context"))?;
    items(&plan.training)?;
    let (rank, tokens, kept) = (run.rank, run.tokens.min(plan.sizes.pass_rows), plan.kept_layers);
    let text = format!(
        "to train as well: rank {rank}, {tokens} tokens a pass, {kept} of {layers} layers' activations kept"
    );
    line(plan.bytes, &text)?;
    line(plan.loader_bytes, "beside these at most while the model is loaded")
}
