//! `apprentice tag`, `branch`, `checkout`, `combine`, `bisect`, `forget` and `audit`: the history moved, searched and verified.
//!
//! It turns arguments into calls of `learn`, and decides nothing. Invariant: a command that found the journal broken does
//! not exit with 0.

use super::history::{marks, value};
use super::{Common, context, output};
use crate::error::Error;
use crate::learn::gate::Verdict;
use crate::learn::learner::Learner;
use crate::learn::names::BASE;
use crate::learn::report::{CycleReport, Event, LearnOptions};
use crate::model::ties::Merging;
use crate::store::native::NativeStore;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `tag` and `branch`.
#[derive(Args)]
pub struct NameArgs {
    /// The name; without one, the names are listed
    name: Option<String>,
    /// The version [default: HEAD]
    version: Option<String>,
    /// Take the name away
    #[arg(long, conflicts_with = "version")]
    delete: bool,
    /// Move a tag that exists
    #[arg(long)]
    force: bool,
}

/// Arguments of `checkout`.
#[derive(Args)]
pub struct CheckoutArgs {
    /// A branch, which learning then moves, or a version
    name: String,
}

/// Arguments of `combine`.
#[derive(Args)]
pub struct CombineArgs {
    /// The version whose lessons HEAD takes in
    version: String,
    /// How: by TIES (the larger changes, where both sides agree), or by the mean
    #[arg(long, default_value = "ties", value_name = "ties|mean", value_parser = Merging::named)]
    method: Merging,
    /// Items of each suite, for a quick look [default: all]
    #[arg(long)]
    sample: Option<usize>,
    /// Other suites than the built-in ones: a folder with core.jsonl, language.jsonl, refusals.jsonl
    #[arg(long, value_name = "DIR")]
    suites: Option<PathBuf>,
}

/// Arguments of `bisect`.
#[derive(Args)]
pub struct BisectArgs {
    /// An example's id, or a suite's item such as core/capital-france; the beginning is enough
    item: String,
    /// A version that gets it right [default: the one that learned it, else the oldest]
    #[arg(long)]
    good: Option<String>,
    /// Other suites than the built-in ones: a folder with core.jsonl, language.jsonl, refusals.jsonl
    #[arg(long, value_name = "DIR")]
    suites: Option<PathBuf>,
}

/// Arguments of `forget`.
#[derive(Args)]
pub struct ForgetArgs {
    /// The example's id, as `examples` lists it
    example: String,
    /// Other suites than the built-in ones: a folder with core.jsonl, language.jsonl, refusals.jsonl
    #[arg(long, value_name = "DIR")]
    suites: Option<PathBuf>,
}

pub async fn tag(common: &Common, args: NameArgs) -> Result<(), Error> {
    let mut learner = context::learner(common).await?;
    match (&args.name, args.delete) {
        (None, _) => {
            let tags = learner.names().tags.iter();
            return list_names(common, tags.map(|(name, to)| (name, to, false)));
        }
        (Some(name), true) => learner.remove_name(name).await?,
        (Some(name), false) => learner.tag(name, args.version.as_deref(), args.force).await?,
    }
    done(common, &learner)
}

pub async fn branch(common: &Common, args: NameArgs) -> Result<(), Error> {
    let mut learner = context::learner(common).await?;
    match (&args.name, args.delete) {
        (None, _) => {
            let current = learner.names().current.as_ref();
            let branches = learner.names().branches.iter();
            return list_names(
                common,
                branches.map(|(name, to)| (name, to, current == Some(name))),
            );
        }
        (Some(name), true) => learner.remove_name(name).await?,
        (Some(name), false) => learner.branch(name, args.version.as_deref()).await?,
    }
    done(common, &learner)
}

fn list_names<'a>(
    common: &Common,
    names: impl Iterator<Item = (&'a String, &'a Option<String>, bool)>,
) -> Result<(), Error> {
    for (name, version, current) in names {
        match common.json {
            true => output::json(&json!({ "name": name, "version": version, "head": current }))?,
            false => {
                let mark = if current { "*" } else { " " };
                output::line(&format!("{mark} {name}  {}", version.as_deref().unwrap_or(BASE)))?;
            }
        }
    }
    Ok(())
}

pub async fn checkout(common: &Common, args: CheckoutArgs) -> Result<(), Error> {
    let mut learner = context::learner(common).await?;
    let mut engine = context::engine(common).await?;
    learner.checkout(&mut engine, &args.name).await?;
    done(common, &learner)
}

pub async fn combine(common: &Common, args: CombineArgs) -> Result<ExitCode, Error> {
    let mut learner = context::examiner(common, args.suites.as_deref()).await?;
    let mut engine = context::engine(common).await?;
    let options = LearnOptions { sample: args.sample, ..LearnOptions::default() };
    let sides = (args.version.as_str(), args.method);
    let report = learner.merge(&mut engine, sides, &options, &mut |_: Event| {}).await?;
    tell(common, &report)
}

/// Tells what became of an examination, with the exit code for it.
pub fn tell(common: &Common, report: &CycleReport) -> Result<ExitCode, Error> {
    match common.json {
        true => output::json(report)?,
        false => {
            output::line(&report.reason)?;
            let head = report.version.as_deref().unwrap_or(BASE);
            output::line(&format!("at scale {}; HEAD is {head}", report.scale))?;
        }
    }
    Ok(ExitCode::from(if report.verdict == Verdict::Promote { 0 } else { 3 }))
}

pub async fn bisect(common: &Common, args: BisectArgs) -> Result<(), Error> {
    let mut learner = context::examiner(common, args.suites.as_deref()).await?;
    let mut engine = context::engine(common).await?;
    let found = learner.bisect(&mut engine, &args.item, args.good.as_deref()).await?;
    if common.json {
        return output::json(&found);
    }
    output::line(&format!(
        "{} was broken by {}; {} still gets it right ({} versions between, {} looked at, {} asked)",
        found.item,
        found.broken_by,
        found.right_before.as_deref().unwrap_or(BASE),
        found.versions,
        found.looked_at,
        found.asked
    ))
}

pub async fn forget(common: &Common, args: ForgetArgs) -> Result<(), Error> {
    let mut learner = context::examiner(common, args.suites.as_deref()).await?;
    let mut engine = context::engine(common).await?;
    let cancel = engine.cancel.clone();
    // A second handler cannot be set; the first one of the process stays.
    ctrlc::set_handler(move || cancel.raise()).ok();
    let mut told = |event: Event| {
        if let Event::Phase { detail: Some(detail), done: Some(done), total: Some(total), .. } =
            event
            && detail.starts_with("learning again")
        {
            eprintln!("cycle {} of {total}: {detail}", done + 1);
        }
    };
    let report = learner.forget(&mut engine, &args.example, &mut told).await?;
    if common.json {
        return output::json(&report);
    }
    for (was, is) in &report.became {
        output::line(&format!("{was} is now {}", is.as_deref().unwrap_or(BASE)))?;
    }
    for doubt in &report.doubts {
        eprintln!("warning: {doubt}; HEAD may differ from what it would have been");
    }
    output::line(&format!(
        "example {} is forgotten; {} cycles ran again; HEAD is {}",
        report.example,
        report.cycles,
        report.head.as_deref().unwrap_or(BASE)
    ))
}

pub async fn audit(common: &Common) -> Result<ExitCode, Error> {
    let learner = context::learner(common).await?;
    let report = learner.audit().await?;
    if common.json {
        for entry in learner.log() {
            output::json(entry)?;
        }
        output::json(&report)?;
    } else {
        for entry in learner.log() {
            let [from, to] = [&entry.from, &entry.to].map(|id| id.as_deref().unwrap_or(BASE));
            let (number, action) = (entry.number, value(&entry.action)?);
            let action = action.as_str().unwrap_or_default();
            let moved = if from == to { to.into() } else { format!("{from} -> {to}") };
            let adapter = entry.adapter.as_deref().map_or("-", |hash| &hash[..12.min(hash.len())]);
            let examples = entry.examples.join(" ");
            output::line(&format!(
                "{number:5} {action:9} {moved:36} adapter {adapter}  {}  [{examples}]",
                entry.note
            ))?;
        }
        for found in &report.breaks {
            output::line(&format!("broken: {found}"))?;
        }
        let word = if report.breaks.is_empty() { "whole" } else { "BROKEN" };
        output::line(&format!(
            "{} lines, {word}; the chain ends in {}",
            report.lines, report.hash
        ))?;
    }
    Ok(ExitCode::from(u8::from(!report.breaks.is_empty())))
}

fn done(common: &Common, learner: &Learner<NativeStore>) -> Result<(), Error> {
    let head = learner.head().map(|version| version.id.as_str());
    match common.json {
        true => output::json(&json!({ "head": head, "branch": learner.names().current })),
        false => output::line(&format!("{}{}", head.unwrap_or(BASE), marks(learner, head, true))),
    }
}
