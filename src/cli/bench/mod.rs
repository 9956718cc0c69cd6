//! `apprentice bench`: how fast a model decodes, reads and learns on a device, and how near its kernels come to what the
//! device can do.
//!
//! Numbers of the model are medians of several runs, of the kernels the best of several samples; counts come from the
//! recorder and do not depend on the machine. Kinds of measurements have a file each, and give JSON.

mod batches;
pub(super) mod beside;
mod generation;
mod kernels;
mod limits;
mod many_rows;
mod one_row;
mod operands;
mod plan;
mod report;
pub(super) mod stats;
mod table;
mod timing;
mod training;

use super::quantize::parse_type;
use super::synth::shapes;
use super::{Common, context, output};
use crate::device::{Device, DeviceChoice};
use crate::error::Error;
use crate::model::lora::Module;
use crate::model::{CONTEXT, Model};
use crate::quant::TensorType;
use clap::Args;
use plan::{Part, Plan};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::Instant;
use table::Shapes;

/// Arguments of `bench`.
#[derive(Args)]
pub struct BenchArgs {
    /// What to measure [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Tokens of each prefill [default: 128,512,2048, as far as the context goes]
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    prefill: Vec<usize>,
    /// Tokens before the decoded ones [default: 16,512,1536]
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    contexts: Vec<usize>,
    /// Tokens of each training step [default: 64,256,512]
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    train: Vec<usize>,
    /// Tokens to decode [default: 32]
    #[arg(long)]
    decode: Option<usize>,
    /// Runs, of which the median counts [default: 5]
    #[arg(long)]
    runs: Option<usize>,
    /// Rank of the adapter that decoding is timed beside [default: 16]
    #[arg(long)]
    adapter_rank: Option<usize>,
    /// Measure kernels over the shapes of a model by name (see `synth --arch`), without its file
    #[arg(long, value_name = "NAME")]
    arch: Option<String>,
    /// Tensor type of that model's matrices
    #[arg(long = "type", value_name = "TYPE", default_value = "q4_k", value_parser = parse_type)]
    ty: TensorType,
    /// A smoke test in some seconds; its numbers mean nothing
    #[arg(long)]
    quick: bool,
    /// Write the JSON to FILE as well
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs the command.
pub async fn bench(common: &Common, args: BenchArgs) -> Result<(), Error> {
    let result = match &args.arch {
        Some(name) => shape(common.device, name, &args).await?,
        None => model(common, &args).await?,
    };
    if let Some(path) = &args.out {
        fs::write(path, result.to_string()).map_err(|error| Error::file(path, &error))?;
    }
    if common.json {
        return output::json(&result);
    }
    report::lines(&result).iter().try_for_each(|line| output::line(line))
}

/// Kernels over the shapes that `name` stands for.
async fn shape(device: DeviceChoice, name: &str, args: &BenchArgs) -> Result<Value, Error> {
    let shape = shapes::find(name).ok_or_else(|| Error::Misuse(shapes::unknown(name)))?;
    let device = Device::open(device).await?;
    let plan = Plan::new(args, &device, CONTEXT.min(shape.config.context))?;
    if plan.needs_model() {
        let text = format!(
            "--arch measures kernels alone; `apprentice synth --arch {name} FILE` writes a model to measure"
        );
        return Err(Error::Misuse(text));
    }
    let shapes = Shapes { config: shape.config, linears: [args.ty; 7], head: args.ty };
    let mut result = head(&device, &plan);
    result["model"] = json!(name);
    result["type"] = json!(args.ty.name());
    result["kernels"] = kernels::kernels(&device, &shapes, &plan).await?;
    Ok(result)
}

/// Everything that was asked for, of the model in its file.
async fn model(common: &Common, args: &BenchArgs) -> Result<Value, Error> {
    let start = Instant::now();
    let mut engine = context::engine(common).await?;
    let loaded = start.elapsed().as_secs_f64();
    let device = engine.model.device.clone();
    let plan = Plan::new(args, &device, engine.model.context())?;
    let mut result = head(&device, &plan);
    result["model"] = json!(engine.model.config.name);
    if plan.has(Part::Load) {
        generation::first_token(&mut engine).await?;
        let first = start.elapsed().as_secs_f64();
        result["load"] = json!({ "load_s": loaded, "first_token_s": first });
    }
    if plan.has(Part::Prefill) {
        result["prefill"] =
            each(&plan.prefill, async |n| generation::prefill(&mut engine, n, &plan).await).await?;
    }
    if plan.has(Part::Decode) {
        result["decode"] =
            each(&plan.contexts, async |n| generation::decode(&mut engine, n, &plan).await).await?;
    }
    if plan.has(Part::Adapter) {
        result["beside_adapter"] = beside::beside(&mut engine, &plan).await?;
    }
    if plan.has(Part::Batches) {
        result["batches"] =
            each(&plan.streams, async |n| batches::batch(&mut engine, n, &plan).await).await?;
    }
    if plan.has(Part::Training) {
        result["training"] =
            each(&plan.train, async |n| training::training(&mut engine, n, &plan).await).await?;
    }
    result["weight_bytes"] = json!(engine.model.weights.bytes());
    result["peak_device_bytes"] = json!(device.stats().bytes_peak);
    if plan.has(Part::Kernels) {
        let shapes = shapes_of(&engine.model);
        result["kernels"] = kernels::kernels(&device, &shapes, &plan).await?;
    }
    Ok(result)
}

/// A measurement at each size, as an array.
async fn each(
    sizes: &[usize],
    mut measure: impl AsyncFnMut(usize) -> Result<Value, Error>,
) -> Result<Value, Error> {
    let mut results = Vec::new();
    for size in sizes {
        results.push(measure(*size).await?);
    }
    Ok(Value::Array(results))
}

/// What runs, and how much of it.
fn head(device: &Device, plan: &Plan) -> Value {
    json!({
        "device": device.kind(), "adapter": device.adapter_name(), "software": device.features().software,
        "tier": device.tier().map(|tier| tier.name()), "runs": plan.runs,
        "decoded_tokens": plan.decode, "note": plan.note,
    })
}

fn shapes_of(model: &Model) -> Shapes {
    let weights = &model.weights;
    Shapes {
        config: model.config.clone(),
        linears: Module::ALL.map(|module| weights.layers[0].linear(module).ty),
        head: weights.head.as_ref().unwrap_or(&weights.embedding).ty,
    }
}
