//! `apprentice planted`: how often the gate stops a candidate that lost something, and one that did not, on the small model.
//!
//! Each cycle trains a candidate that answers everywhere, on wrong answers to core questions or on new facts, without a
//! screen and with a gate that is open. What it really lost is measured on more items than any gate sees; then the gate
//! decides on samples. Invariant: a cycle is harmful or harmless by what was measured, not by what it was meant to be.

use super::lines::{append, parse, read};
use super::synth::world::World;
use super::{Common, context, output, synth};
use crate::error::Error;
use crate::learn::engine::Engine;
use crate::learn::evaluate::{Scores, evaluate};
use crate::learn::example::{NewExample, lessons};
use crate::learn::gate::{Evidence, GatePolicy, Pair, Score, SuiteKind, Verdict, changes, decide};
use crate::learn::learner::{LearnError, Learner};
use crate::learn::recipe::Recipe;
use crate::learn::report::LearnOptions;
use crate::learn::scope::Scope;
use crate::learn::student::Student;
use crate::learn::suite::{Item, Suites, sample};
use crate::model::random::Random;
use crate::store::memory::MemoryStore;
use crate::store::{Store, Table, Write};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Sizes of the core sample that the gate decides on.
const SAMPLES: [usize; 3] = [16, 32, 48];

/// Other wordings and choices of the core questions, on which the loss is measured.
const OTHERWISE: usize = 5;

/// Points of core knowledge from where on a candidate is harmful, and up to which it is harmless.
const HARM: f64 = 5.0;
/// See `HARM`.
const NO_HARM: f64 = 0.5;

/// A row of the table: its name, and which cycles belong to it.
type Group = (&'static str, fn(&Planted) -> bool);

/// Arguments of `planted`.
#[derive(Args)]
pub struct PlantedArgs {
    /// The folder that `synth --small` wrote
    #[arg(long, value_name = "DIR")]
    small: PathBuf,
    /// Results, a JSON line a cycle; what is there already is not run again
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Cycles, harmful and harmless ones in turns
    #[arg(long, default_value_t = 200)]
    cycles: u64,
    /// Most steps of a cycle; each cycle takes its own share of them
    #[arg(long, default_value_t = 24)]
    steps: usize,
}

/// A planted cycle.
#[derive(Debug, Serialize, Deserialize)]
struct Planted {
    cycle: u64,
    /// Whether it was taught wrong answers to core questions.
    wrong: bool,
    lessons: usize,
    steps: usize,
    /// Points of core knowledge that it really lost.
    lost: f64,
    /// The gate's word by the size of the core sample.
    verdicts: BTreeMap<usize, Verdict>,
    /// The gate's reason on the largest sample.
    reason: String,
}

/// What is examined, with the base model's scores.
struct Items {
    suites: BTreeMap<SuiteKind, (Vec<Item>, Vec<Score>)>,
    otherwise: (Vec<Item>, Vec<Score>),
}

pub async fn planted(common: &Common, args: PlantedArgs) -> Result<(), Error> {
    let mut done: Vec<Planted> =
        if args.out.exists() { parse(&read(&args.out)?, "the results")? } else { Vec::new() };
    let common = Common { model: Some(args.small.join("small.gguf")), ..common.clone() };
    let mut engine = context::engine(&common).await?;
    let items = items(&mut engine, &args.small).await?;
    let mut drills = Vec::new();
    for cycle in done.len() as u64..args.cycles {
        let planted = run(&mut engine, &args, cycle, &items, &mut drills).await?;
        append(&args.out, &planted)?;
        output::json(&planted)?;
        done.push(planted);
    }
    table(&done)
}

async fn items(engine: &mut Engine, small: &Path) -> Result<Items, Error> {
    let suites = context::suites(&small.join("suites"))?;
    let world = World::read();
    let otherwise: String = (1..=OTHERWISE).map(|number| world.core_otherwise(number)).collect();
    let otherwise = Suites::parse(&otherwise, "", "");
    let otherwise = otherwise.map_err(|error| Error::Misuse(error.to_string()))?.items();
    let otherwise = otherwise.into_values().flatten().collect::<Vec<Item>>();
    let mut scored = BTreeMap::new();
    for (kind, items) in suites.items() {
        let scores = scores(engine, &items).await?;
        scored.insert(kind, (items, scores));
    }
    let scores = scores(engine, &otherwise).await?;
    Ok(Items { suites: scored, otherwise: (otherwise, scores) })
}

async fn scores(engine: &mut Engine, items: &[Item]) -> Result<Vec<Score>, Error> {
    let scored = evaluate(engine, items, &mut Scores::new(), &mut |_| {}).await;
    Ok(scored.map_err(LearnError::from)?)
}

async fn run(
    engine: &mut Engine,
    args: &PlantedArgs,
    cycle: u64,
    items: &Items,
    drills: &mut Vec<(String, Vec<u8>)>,
) -> Result<Planted, Error> {
    let wrong = cycle.is_multiple_of(2);
    let name = if wrong { "lessons-harmful.jsonl" } else { "lessons.jsonl" };
    let mut all = lessons(&read(&args.small.join(name))?, name).map_err(LearnError::from)?;
    let mut random = Random::named(cycle, "planted");
    random.shuffle(&mut all);
    // Cycles of all strengths: a small loss is what is hard to see.
    all.truncate(1 + random.below(8));
    let steps = args.steps / 4 + random.below(args.steps * 3 / 4 + 1);
    candidate(engine, &all, (cycle, steps), drills).await?;
    let mut pairs = BTreeMap::new();
    for (kind, (items, before)) in &items.suites {
        pairs.insert(*kind, paired(items, before, scores(engine, items).await?));
    }
    let (otherwise, before) = &items.otherwise;
    let real = paired(otherwise, before, scores(engine, otherwise).await?);
    let real: Vec<Pair> = real.into_iter().map(|(_, pair)| pair).collect();
    let (losses, gains) = changes(&real);
    let lost = 100.0 * (losses as f64 - gains as f64) / real.len() as f64;
    let mut verdicts = BTreeMap::new();
    let mut reason = String::new();
    for n in SAMPLES {
        let decision = decide(&evidence(&pairs, n, cycle), &GatePolicy::default());
        verdicts.insert(n, decision.verdict);
        reason = decision.reason;
    }
    Ok(Planted { cycle, wrong, lessons: all.len(), steps, lost, verdicts, reason })
}

/// Puts a candidate in place that learned the lessons and was let through whatever it lost.
async fn candidate(
    engine: &mut Engine,
    taught: &[NewExample],
    (seed, steps): (u64, usize),
    drills: &mut Vec<(String, Vec<u8>)>,
) -> Result<(), Error> {
    let store = MemoryStore::new();
    let kept = drills.iter().map(|(key, drill)| Write::put(Table::Cache, key, drill.clone()));
    store.apply(&kept.collect::<Vec<_>>()).await?;
    let learner = Learner::open(store.clone(), Box::new(|| 0), seed).await?;
    let mut learner = learner.with_suites(Suites::default());
    let recipe = Recipe {
        lr: synth::LEARN_RATE,
        check_every: usize::MAX,
        scoped: false,
        ..Recipe::default()
    };
    let options = LearnOptions {
        steps_max: Some(steps),
        scales: vec![1.0],
        screen: false,
        recipe,
        policy: GatePolicy::open(),
        ..LearnOptions::default()
    };
    learner.teach(taught.to_vec()).await?;
    // What nothing lets through (it says less than before) is examined as the base model, and lost nothing.
    engine.use_adapter(None, Scope::everything()).await.map_err(LearnError::from)?;
    learner.learn(engine, &options, &mut |_| {}).await?;
    *drills = store.list(Table::Cache).await?;
    drills.retain(|(key, _)| key.starts_with("drill/"));
    Ok(())
}

fn paired(items: &[Item], before: &[Score], after: Vec<Score>) -> Vec<(Item, Pair)> {
    let both = items.iter().zip(before).zip(after);
    both.map(|((item, before), after)| (item.clone(), Pair { before: *before, after })).collect()
}

/// What the gate sees with a core sample of `n`: lessons that were learned, and the other suites whole.
fn evidence(pairs: &BTreeMap<SuiteKind, Vec<(Item, Pair)>>, n: usize, seed: u64) -> Evidence {
    let score = |correct| Score { correct: Some(correct), loss: 1.0 };
    let learned = Pair { before: score(false), after: score(true) };
    let mut evidence = Evidence::default();
    evidence.suites.insert(SuiteKind::Taught, vec![learned]);
    for (kind, pairs) in pairs {
        let most = (*kind == SuiteKind::Core).then_some(n);
        let items = pairs.iter().map(|(item, _)| item.clone()).collect();
        let chosen = sample(items, most, seed);
        let held = |item: &Item| chosen.iter().any(|other| other.key == item.key);
        let seen = pairs.iter().filter(|(item, _)| held(item)).map(|(_, pair)| *pair);
        evidence.suites.insert(*kind, seen.collect());
    }
    evidence
}

fn table(cycles: &[Planted]) -> Result<(), Error> {
    let heads: String = SAMPLES.iter().map(|n| format!("{:>18}", format!("n = {n}"))).collect();
    output::line(&format!("{:44}{heads}", "stopped (held or rejected), core sample of"))?;
    let groups: [Group; 3] = [
        ("lost 5 points of core knowledge or more", |p| p.lost >= HARM),
        ("lost 0.5 points at most", |p| p.lost <= NO_HARM),
        ("between", |p| p.lost > NO_HARM && p.lost < HARM),
    ];
    for (name, belongs) in groups {
        let group: Vec<&Planted> = cycles.iter().filter(|planted| belongs(planted)).collect();
        let cell = |n: &usize| {
            let stopped = group.iter().filter(|p| p.verdicts.get(n) != Some(&Verdict::Promote));
            format!("{:>18}", format!("{} of {}", stopped.count(), group.len()))
        };
        let cells: String = SAMPLES.iter().map(cell).collect();
        output::line(&format!("{name:44}{cells}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::suite::Task;

    #[test]
    fn the_gate_sees_a_sample_of_core_and_all_of_the_rest() {
        let score = |correct| Score { correct: Some(correct), loss: 1.0 };
        let lost = Pair { before: score(true), after: score(false) };
        let items = |n: usize| {
            let item = |i| Item { key: format!("item/{i}"), task: Task::Read(String::new()) };
            (0..n).map(|i| (item(i), lost)).collect::<Vec<_>>()
        };
        let pairs =
            BTreeMap::from([(SuiteKind::Core, items(48)), (SuiteKind::Refusals, items(24))]);
        for n in SAMPLES {
            let seen = evidence(&pairs, n, 0);
            assert_eq!(seen.suites[&SuiteKind::Core].len(), n);
            assert_eq!(seen.suites[&SuiteKind::Refusals].len(), 24);
            assert_eq!(decide(&seen, &GatePolicy::default()).verdict, Verdict::Reject);
        }
    }
}
