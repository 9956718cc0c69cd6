//! `apprentice planted`: how often the gate stops a candidate that lost something, and one that did not.
//!
//! Each cycle trains a candidate that answers everywhere, on wrong answers or on new facts, without a screen and with a gate
//! that is open. What it really lost is measured on items that the gate does not see; then the gate decides on samples.
//! Invariant: a cycle is harmful or harmless by what was measured, not by what it was meant to be.

mod ground;

use super::lines::{append, parse, read};
use super::{Common, context, output};
use crate::error::Error;
use crate::learn::engine::Engine;
use crate::learn::example::NewExample;
use crate::learn::gate::{Evidence, GatePolicy, Pair, Score, SuiteKind, Verdict, changes, decide};
use crate::learn::learner::{LearnError, Learner};
use crate::learn::recipe::Recipe;
use crate::learn::report::LearnOptions;
use crate::learn::scope::Scope;
use crate::learn::student::Student;
use crate::learn::suite::{Item, Suites};
use crate::model::random::Random;
use crate::store::memory::MemoryStore;
use crate::store::{Store, Table, Write};
use clap::Args;
use ground::{Ground, chosen};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Points of core knowledge from where on a candidate is harmful, and up to which it is harmless.
const HARM: f64 = 5.0;
/// See `HARM`.
const NO_HARM: f64 = 0.5;

/// A row of the table: its name, and which cycles belong to it.
type Group = (&'static str, fn(&Planted) -> bool);

/// Arguments of `planted`.
#[derive(Args)]
pub struct PlantedArgs {
    /// The folder that `synth --small` wrote; without it the model and the built-in suites and lessons
    #[arg(long, value_name = "DIR")]
    small: Option<PathBuf>,
    /// Results, a JSON line a cycle; what is there already is not run again
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Cycles, harmful and harmless ones in turns; by default 200 on the small model, else 20
    #[arg(long)]
    cycles: Option<u64>,
    /// Number of the first cycle, which its draws follow from: others are other cycles
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Most steps of a cycle, of which each takes its own share; by default 24 on the small model, else 12
    #[arg(long)]
    steps: Option<usize>,
}

/// A planted cycle.
#[derive(Debug, Serialize, Deserialize)]
struct Planted {
    cycle: u64,
    /// Whether it was taught wrong answers.
    wrong: bool,
    lessons: usize,
    steps: usize,
    #[serde(default)]
    lr: f32,
    /// Points of core knowledge that it really lost.
    lost: f64,
    /// The gate's word by the size of the core sample.
    verdicts: BTreeMap<usize, Verdict>,
    /// The gate's reason on the largest sample.
    reason: String,
    /// The losses of the largest core sample under the base and under the candidate (negated margins: right below 0), so
    /// that another rule can be tried on the same cycles.
    #[serde(default)]
    core: Vec<[f32; 2]>,
}

pub async fn planted(common: &Common, args: PlantedArgs) -> Result<(), Error> {
    let mut done: Vec<Planted> =
        if args.out.exists() { parse(&read(&args.out)?, "the results")? } else { Vec::new() };
    let mut common = common.clone();
    if let Some(folder) = &args.small {
        common.model = Some(folder.join("small.gguf"));
    }
    let mut engine = context::engine(&common).await?;
    let ground = match &args.small {
        Some(folder) => Ground::small(&mut engine, folder).await?,
        None => Ground::real(&mut engine).await?,
    };
    let small = args.small.is_some();
    let cycles = args.cycles.unwrap_or(if small { 200 } else { 20 });
    let steps = args.steps.unwrap_or(if small { 24 } else { 12 });
    let mut drills = Vec::new();
    for cycle in args.first + done.len() as u64..args.first + cycles {
        let planted = run(&mut engine, &ground, (cycle, steps), &mut drills).await?;
        append(&args.out, &planted)?;
        output::json(&planted)?;
        done.push(planted);
    }
    table(&done, &ground.samples)
}

async fn run(
    engine: &mut Engine,
    ground: &Ground,
    (cycle, steps_max): (u64, usize),
    drills: &mut Vec<(String, Vec<u8>)>,
) -> Result<Planted, Error> {
    let wrong = cycle.is_multiple_of(2);
    let mut all = if wrong { ground.harmful.clone() } else { ground.harmless.clone() };
    let mut random = Random::named(cycle, "planted");
    random.shuffle(&mut all);
    // Cycles of all strengths: a small loss is what is hard to see.
    all.truncate(1 + random.below(8));
    let steps = steps_max / 4 + random.below(steps_max * 3 / 4 + 1);
    let lr = ground.rates[random.below(ground.rates.len())];
    let recipe = Recipe { lr, ..ground.recipe.clone() };
    candidate(engine, &all, (cycle, steps, recipe), drills).await?;
    let measured = ground.measure(engine, cycle).await?;
    let (losses, gains) = changes(&measured.real);
    let lost = 100.0 * (losses as f64 - gains as f64) / measured.real.len() as f64;
    let mut verdicts = BTreeMap::new();
    let (mut reason, mut core) = (String::new(), Vec::new());
    for n in ground.samples {
        let evidence = evidence(&measured.pairs, n, cycle);
        let decision = decide(&evidence, &GatePolicy::default());
        verdicts.insert(n, decision.verdict);
        reason = decision.reason;
        let short = |loss: f64| ((loss * 1000.0).round() / 1000.0) as f32;
        let losses = |pair: &Pair| [short(pair.before.loss), short(pair.after.loss)];
        core = evidence.suites[&SuiteKind::Core].iter().map(losses).collect();
    }
    let lessons = all.len();
    Ok(Planted { cycle, wrong, lessons, steps, lr, lost, verdicts, reason, core })
}

/// Puts a candidate in place that learned the lessons and was let through whatever it lost.
async fn candidate(
    engine: &mut Engine,
    taught: &[NewExample],
    (seed, steps, recipe): (u64, usize, Recipe),
    drills: &mut Vec<(String, Vec<u8>)>,
) -> Result<(), Error> {
    let store = MemoryStore::new();
    let kept = drills.iter().map(|(key, drill)| Write::put(Table::Cache, key, drill.clone()));
    store.apply(&kept.collect::<Vec<_>>()).await?;
    let learner = Learner::open(store.clone(), Box::new(|| 0), seed).await?;
    let mut learner = learner.with_suites(Suites::default());
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
    let lasts =
        |key: &str| ["drill/", "everyday/", "scores/base-"].iter().any(|k| key.starts_with(k));
    drills.retain(|(key, _)| lasts(key));
    Ok(())
}

/// What the gate sees with a core sample of `n`: lessons that were learned, and the other suites whole.
fn evidence(pairs: &BTreeMap<SuiteKind, Vec<(Item, Pair)>>, n: usize, seed: u64) -> Evidence {
    let score = |correct| Score { correct: Some(correct), loss: 1.0 };
    let learned = Pair { before: score(false), after: score(true) };
    let mut evidence = Evidence::default();
    evidence.suites.insert(SuiteKind::Taught, vec![learned]);
    for (kind, pairs) in pairs {
        let most = (*kind == SuiteKind::Core).then_some(n);
        let seen = chosen(pairs, most, seed);
        evidence.suites.insert(*kind, seen.into_iter().map(|(_, pair)| pair).collect());
    }
    evidence
}

fn table(cycles: &[Planted], samples: &[usize]) -> Result<(), Error> {
    let heads: String = samples.iter().map(|n| format!("{:>18}", format!("n = {n}"))).collect();
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
        let cells: String = samples.iter().map(cell).collect();
        output::line(&format!("{name:44}{cells}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::student::Passage;
    use crate::learn::suite::Task;

    #[test]
    fn the_gate_sees_a_sample_of_core_and_all_of_the_rest() {
        let score = |correct| Score { correct: Some(correct), loss: 1.0 };
        let lost = Pair { before: score(true), after: score(false) };
        let items = |n: usize| {
            let item = |i| Item {
                key: format!("item/{i}"),
                task: Task::Read(Passage::Text(String::new())),
            };
            (0..n).map(|i| (item(i), lost)).collect::<Vec<_>>()
        };
        let pairs =
            BTreeMap::from([(SuiteKind::Core, items(48)), (SuiteKind::Refusals, items(24))]);
        for n in [16, 32, 48] {
            let seen = evidence(&pairs, n, 0);
            assert_eq!(seen.suites[&SuiteKind::Core].len(), n);
            assert_eq!(seen.suites[&SuiteKind::Refusals].len(), 24);
            assert_eq!(decide(&seen, &GatePolicy::default()).verdict, Verdict::Reject);
        }
    }
}
