//! The command line: arguments in, text or JSON out, errors as one line.
//!
//! A face: it knows terminals and files, and leaves every decision to the layers below. Exit codes: 0 done,
//! 1 failed, 2 misused, 3 rejected or held by the gate.

mod ablation;
pub mod adapters;
mod answer;
mod attacks;
mod bench;
mod context;
mod devices;
mod files;
pub mod graph;
mod history;
mod learning;
mod lines;
pub mod merge;
mod moves;
mod output;
mod perplexity;
mod phases;
mod plan;
mod planted;
pub mod quantize;
mod review;
mod rewrite;
mod serve;
mod signals;
pub mod simulate;
mod skills;
pub mod synth;
mod train;
mod versions;

use crate::device::DeviceChoice;
use crate::error::Error;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// A language model that learns from you, on your own machine.
#[derive(Parser)]
#[command(name = "apprentice", version, about)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args, Clone)]
pub struct Common {
    /// Where examples, versions and adapters are kept [default: the platform's data folder]
    #[arg(long, global = true, value_name = "DIR")]
    home: Option<PathBuf>,
    /// The model, a GGUF file [default: the one that `cargo xtask model` fetched]
    #[arg(long, global = true, value_name = "FILE")]
    model: Option<PathBuf>,
    /// auto takes a hardware GPU, else the CPU
    #[arg(long, global = true, value_name = "auto|gpu|cpu", default_value = "auto")]
    device: DeviceChoice,
    /// Refuse what would take more of the device's memory: bytes, or a number with K, M or G (of 1024)
    #[arg(long, global = true, value_name = "BYTES", value_parser = context::parse_bytes)]
    memory_limit: Option<u64>,
    /// Tell the chat template a value, such as enable_thinking=false; JSON, or a text
    #[arg(long = "template-arg", global = true, value_name = "NAME=VALUE", value_parser = context::parse_argument)]
    template_args: Vec<(String, serde_json::Value)>,
    /// Seed of sampling and training
    #[arg(long, global = true, default_value_t = 0)]
    seed: u64,
    /// On a GPU: let decoding round a row to 8 bits where that is measured to be faster (lossy)
    #[arg(long, global = true)]
    int8: bool,
    /// JSON on standard output, everything else on standard error
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Answer over HTTP as OpenAI's API does, with the versions as models, and serve the page
    Serve(serve::ServeArgs),
    /// Talk with the model
    Chat(answer::ChatArgs),
    /// Complete one prompt
    Complete(answer::CompleteArgs),
    /// Teach corrections or documents
    Teach(learning::TeachArgs),
    /// Show what was set aside, and let it through
    Review(review::ReviewArgs),
    /// Run a learning cycle: train, examine, keep or roll back
    Learn(learning::LearnArgs),
    /// Examine the model
    Eval(learning::EvalArgs),
    /// Show the versions, newest first
    Log(history::LogArgs),
    /// Show one version: what it learned, and how its suites moved
    Show(history::ShowArgs),
    /// Compare two versions: lessons, suites, weights
    Diff(history::DiffArgs),
    /// Give a version a name that stays, or list the names
    Tag(moves::NameArgs),
    /// Give a version a name that goes on with what is learned on it, or list them
    Branch(moves::NameArgs),
    /// Go to a branch or a version
    Checkout(moves::CheckoutArgs),
    /// Merge another version's lessons into HEAD, if the gate agrees
    Combine(moves::CombineArgs),
    /// Find the cycle that broke a lesson or a suite's item
    Bisect(moves::BisectArgs),
    /// List what was taught, with ids
    Examples,
    /// Forget an example: what had learned from it is rebuilt as if it had never been taught
    Forget(moves::ForgetArgs),
    /// Print what changed the model, and verify that nothing of it was changed since
    Audit,
    /// Go back to an earlier version
    Rollback(versions::RollbackArgs),
    /// Write an adapter for other programs: a version, or other adapters' files
    Export(versions::ExportArgs),
    /// Put somebody's adapter or signed skill into the history as a version
    Import(versions::ImportArgs),
    /// Examine an imported version beside HEAD, and take it in if the gate agrees
    Adopt(skills::AdoptArgs),
    /// Fine-tune on a file of conversations, without the learning loop
    Train(train::TrainArgs),
    /// Measure the perplexity of a text
    Perplexity(perplexity::PerplexityArgs),
    /// Write a model with its matrices in another type
    Quantize(quantize::QuantizeArgs),
    /// Write a model with an adapter in its weights, and say what the rounding left of it
    Merge(merge::MergeArgs),
    /// Measure decode, prefill and training
    Bench(bench::BenchArgs),
    /// Say what a model and a training run will take of the device's memory
    Plan(plan::PlanArgs),
    /// List the devices, and which one `auto` takes
    Devices,
    /// Compare recipes on the small model: which method against forgetting buys something
    Ablation(ablation::AblationArgs),
    /// Teach the small model bad lessons: which defence stops what, and what gets through
    Attacks(attacks::AttacksArgs),
    /// Measure whether single lessons' losses and gradients tell bad ones from honest ones
    Signals(signals::SignalsArgs),
    /// Plant harmful and harmless cycles on the small model: which of them the gate stops
    Planted(planted::PlantedArgs),
    /// Simulate a user over many cycles, and measure what is learned and lost
    Simulate(simulate::SimulateArgs),
    /// Make the small model that tests use
    Synth(synth::command::SynthArgs),
}

/// Parses the arguments, runs the command, and says in one line what failed.
pub fn main() -> ExitCode {
    let Cli { common, command } = Cli::parse();
    crate::device::join_pool();
    match pollster::block_on(run(&common, command)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(match error {
                Error::Misuse(_) => 2,
                _ => 1,
            })
        }
    }
}

async fn run(common: &Common, command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::Serve(args) => serve::serve(common, args).await?,
        Command::Chat(args) => answer::chat(common, args).await?,
        Command::Complete(args) => answer::complete(common, args).await?,
        Command::Teach(args) => learning::teach(common, args).await?,
        Command::Review(args) => review::review(common, args).await?,
        Command::Learn(args) => return learning::learn(common, args).await,
        Command::Eval(args) => learning::eval(common, args).await?,
        Command::Log(args) => history::log(common, args).await?,
        Command::Show(args) => history::show(common, args).await?,
        Command::Diff(args) => history::diff(common, args).await?,
        Command::Tag(args) => moves::tag(common, args).await?,
        Command::Branch(args) => moves::branch(common, args).await?,
        Command::Checkout(args) => moves::checkout(common, args).await?,
        Command::Combine(args) => return moves::combine(common, args).await,
        Command::Bisect(args) => moves::bisect(common, args).await?,
        Command::Examples => history::examples(common).await?,
        Command::Forget(args) => moves::forget(common, args).await?,
        Command::Audit => return moves::audit(common).await,
        Command::Rollback(args) => versions::rollback(common, args).await?,
        Command::Export(args) => versions::export(common, args).await?,
        Command::Import(args) => versions::import(common, args).await?,
        Command::Adopt(args) => return skills::adopt(common, args).await,
        Command::Train(args) => train::train(common, args).await?,
        Command::Perplexity(args) => perplexity::perplexity(common, args).await?,
        Command::Quantize(args) => quantize::quantize_command(common, args).await?,
        Command::Merge(args) => merge::merge(common, args).await?,
        Command::Bench(args) => bench::bench(common, args).await?,
        Command::Plan(args) => plan::plan(common, args).await?,
        Command::Devices => devices::devices(common).await?,
        Command::Ablation(args) => ablation::ablation(common, args).await?,
        Command::Attacks(args) => attacks::attacks(common, args).await?,
        Command::Signals(args) => signals::signals(common, args).await?,
        Command::Planted(args) => planted::planted(common, args).await?,
        Command::Simulate(args) => simulate::simulate(common, args).await?,
        Command::Synth(args) => synth::command::synth(common, &args)?,
    }
    Ok(ExitCode::SUCCESS)
}
