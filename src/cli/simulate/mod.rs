//! `apprentice simulate`: a user over many cycles, to measure what is learned, what is lost and what it takes.
//!
//! The user teaches and learns as a person does with `teach` and `learn`; recipes are compared as arms. Results are a file of
//! JSON lines that a run goes on from. Invariant: a home of its own, never the person's.

mod arm;
mod code;
pub mod data;
mod days;
mod exam;
mod record;
mod spent;
pub mod stream;

use super::{Common, context, output};
use crate::error::Error;
use crate::learn::engine::Engine;
use crate::learn::learner::Learner;
use crate::learn::suite::Suites;
use crate::store::native::NativeStore;
use arm::Arm;
use clap::{Args, ValueEnum};
use data::Data;
use days::{DayClock, Plan, User};
use record::{Header, Line, Results};
use std::fs;
use std::path::PathBuf;
use stream::{Drift, Stream, UserStream};

/// What is taught.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StreamKind {
    /// One user's facts, code and notes, over 100 cycles.
    User,
    /// Facts of the small model's world that change, without an end.
    Drift,
}

/// Arguments of `simulate`.
#[derive(Args)]
pub struct SimulateArgs {
    /// The results, a JSON line a cycle; a run that was ended goes on from there. Its home is beside it, ending in .home
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Recipe and gate
    #[arg(long, value_enum, default_value_t = Arm::Ours)]
    arm: Arm,
    /// What is taught
    #[arg(long, value_enum, default_value_t = StreamKind::User)]
    stream: StreamKind,
    /// Folder of what the user teaches
    #[arg(long, value_name = "DIR", default_value = "bench/learning/data")]
    data: PathBuf,
    /// Cycles in all
    #[arg(long, default_value_t = stream::SPAN)]
    cycles: usize,
    /// Cycles between two whole examinations; the first and the last are whole
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u16).range(1..))]
    every: u16,
    /// Most items of each part of a whole examination but the facts [default: all]
    #[arg(long, value_name = "N")]
    exam: Option<usize>,
    /// Learning rate [default: the recipe's]
    #[arg(long)]
    lr: Option<f32>,
    /// Most steps of a cycle [default: 10 to 24, by what is taught]
    #[arg(long)]
    steps: Option<usize>,
    /// Fields of a cycle's options in the place of the arm's, as JSON: {"recipe":{"replay_share":0.5}}
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    change: Option<serde_json::Value>,
    /// Other suites than the built-in ones: a folder with core.jsonl, language.jsonl, refusals.jsonl
    #[arg(long, value_name = "DIR")]
    suites: Option<PathBuf>,
}

/// Runs the command.
pub async fn simulate(common: &Common, args: SimulateArgs) -> Result<(), Error> {
    if common.home.is_some() {
        let text = "a simulated user has a home of their own, beside --out; leave --home away";
        return Err(Error::Misuse(text.into()));
    }
    let stream: Box<dyn Stream> = match args.stream {
        StreamKind::User => Box::new(UserStream::new(Data::read(&args.data)?, common.seed)),
        StreamKind::Drift => Box::new(Drift::new(common.seed)),
    };
    let suites = match &args.suites {
        Some(folder) => context::suites(folder)?,
        None => Suites::built_in(),
    };
    let mut engine = context::engine(common).await?;
    let cancel = engine.cancel.clone();
    ctrlc::set_handler(move || cancel.raise()).ok();
    let mut results = Results::open(&args.out, &header(common, &args, &engine))?;
    let home = args.out.with_extension("home");
    if results.lines().is_empty() && home.exists() {
        let text = "is left from another run; remove it, or give another --out";
        return Err(Error::file(&home, &text));
    }
    fs::create_dir_all(&home).map_err(|error| Error::file(&home, &error))?;
    let clock = DayClock::new();
    let store = NativeStore::open(&home)?;
    let learner = Learner::open(store, clock.reader(), common.seed).await?;
    let seen = if args.arm.has_suites() { suites.clone() } else { Suites::default() };
    let plan = Plan {
        arm: args.arm,
        cycles: args.cycles,
        every: usize::from(args.every),
        exam_max: args.exam,
        lr: args.lr,
        steps: args.steps,
        change: args.change.as_ref(),
        stream: stream.as_ref(),
        suites: &suites,
        home: &home,
    };
    let learner = learner.with_suites(seen);
    let mut user = User { learner, engine: &mut engine, clock, plan };
    user.live(&mut results, &mut |line| told(common, args.cycles, line)).await
}

fn header(common: &Common, args: &SimulateArgs, engine: &Engine) -> Header {
    let stream = args.stream.to_possible_value();
    Header {
        arm: args.arm,
        stream: stream.map_or_else(String::new, |value| value.get_name().to_string()),
        seed: common.seed,
        base_hash: engine.model.base_hash.clone(),
        model: engine.model.config.name.clone(),
        device: engine.model.device.kind().to_string(),
        every: usize::from(args.every),
        lr: args.lr,
        steps: args.steps,
        change: args.change.clone(),
    }
}

fn json_value(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn told(common: &Common, cycles: usize, line: &Line) -> Result<(), Error> {
    if common.json {
        return output::json(line);
    }
    let verdict = match line.verdict {
        Some(verdict) => serde_json::to_value(verdict).map_err(|e| Error::Output(e.to_string()))?,
        None => "nothing to learn".into(),
    };
    let verdict = verdict.as_str().unwrap_or_default();
    let [taught, said] = line.taught;
    let [asked, kept] = line.kept;
    output::line(&format!(
        "cycle {} of {cycles}, {}: {verdict}, {said} of {taught} said; {kept} of {asked} earlier ones; {:.0} s and {:.0} s of exams",
        line.cycle, line.day, line.spent.seconds, line.spent.exam_seconds
    ))
}
