//! `apprentice ablation`: which of the recipe's methods against forgetting buys something, on the small model.
//!
//! Each arm, a recipe, learns the same corrections one a cycle, with as many steps and without a gate, for several seeds;
//! then it is asked everything. Invariant: arms of one seed differ in their recipe alone, since they share lessons, order
//! and drills.

use super::lines::{append, parse, read};
use super::synth::world::World;
use super::synth::{self};
use super::{Common, context, output};
use crate::error::Error;
use crate::learn::engine::Engine;
use crate::learn::evaluate::{Scores, Wanted, evaluate, said};
use crate::learn::exam::summary;
use crate::learn::example::{Content, NewExample, lessons};
use crate::learn::gate::{GatePolicy, SuiteKind, Verdict};
use crate::learn::learner::{LearnError, Learner};
use crate::learn::recipe::Recipe;
use crate::learn::report::LearnOptions;
use crate::learn::suite::Suites;
use crate::model::random::Random;
use crate::store::memory::MemoryStore;
use crate::store::{Store, Table, Write};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::path::PathBuf;

/// The arms of the repository.
const ARMS: &str = include_str!("../../bench/learning/ablation/arms.jsonl");

/// Arguments of `ablation`.
#[derive(Args)]
pub struct AblationArgs {
    /// The folder that `synth --small` wrote
    #[arg(long, value_name = "DIR")]
    small: PathBuf,
    /// Results, a JSON line an arm and seed; what is there already is not run again
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Other arms than the repository's: lines of {"arm":NAME,"recipe":{…}}
    #[arg(long, value_name = "FILE")]
    arms: Option<PathBuf>,
    /// Cycles, one correction each
    #[arg(long, default_value_t = 16)]
    cycles: usize,
    /// Steps a cycle
    #[arg(long, default_value_t = 24)]
    steps: usize,
    /// Seeds of each arm
    #[arg(long, default_value_t = 3)]
    seeds: u64,
}

#[derive(Deserialize)]
struct Arm {
    arm: String,
    recipe: Recipe,
}

/// What an arm knew at the end.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Outcome {
    arm: String,
    seed: u64,
    cycles: usize,
    steps: usize,
    /// Cycles whose candidate was taken.
    promoted: usize,
    /// Share of the taught answers that are said.
    taught: f64,
    /// Share of them that are said when asked in other words.
    rephrased: f64,
    /// Share of the world's other facts that are said.
    facts: f64,
    /// Share of core questions right.
    core: f64,
    /// Loss of neutral text, nats a token.
    language: f64,
    seconds: f64,
}

/// A column of the table.
type Column = (&'static str, fn(&Outcome) -> f64);

const COLUMNS: [Column; 5] = [
    ("taught", |o| 100.0 * o.taught),
    ("rephrased", |o| 100.0 * o.rephrased),
    ("facts", |o| 100.0 * o.facts),
    ("core", |o| 100.0 * o.core),
    ("language", |o| o.language),
];

pub async fn ablation(common: &Common, args: AblationArgs) -> Result<(), Error> {
    let text = match &args.arms {
        Some(path) => read(path)?,
        None => ARMS.into(),
    };
    let arms = parse::<Arm>(&text, "the arms")?;
    let mut outcomes =
        if args.out.exists() { parse(&read(&args.out)?, "the results")? } else { Vec::new() };
    let common = Common { model: Some(args.small.join("small.gguf")), ..common.clone() };
    let mut engine = context::engine(&common).await?;
    for seed in 0..args.seeds {
        let mut drills = Vec::new();
        for arm in &arms {
            let known = |o: &&Outcome| {
                (&o.arm, o.seed, o.cycles, o.steps) == (&arm.arm, seed, args.cycles, args.steps)
            };
            if outcomes.iter().any(|outcome| known(&outcome)) {
                continue;
            }
            let outcome = run(&mut engine, &args, arm, seed, &mut drills).await?;
            append(&args.out, &outcome)?;
            output::json(&outcome)?;
            outcomes.push(outcome);
        }
    }
    table(&arms, &outcomes)
}

/// One arm with one seed.
async fn run(
    engine: &mut Engine,
    args: &AblationArgs,
    arm: &Arm,
    seed: u64,
    drills: &mut Vec<(String, Vec<u8>)>,
) -> Result<Outcome, Error> {
    let began = std::time::Instant::now();
    let mut all = lessons(&read(&args.small.join("lessons.jsonl"))?, "lessons.jsonl")
        .map_err(LearnError::from)?;
    Random::named(seed, "ablation").shuffle(&mut all);
    all.truncate(args.cycles);
    let store = MemoryStore::new();
    let kept = drills.iter().map(|(key, drill)| Write::put(Table::Cache, key, drill.clone()));
    store.apply(&kept.collect::<Vec<_>>()).await?;
    // Nothing but the user's own lessons is examined, and whatever was learned is taken.
    let mut learner = Learner::open(store.clone(), Box::new(|| 0), seed).await?;
    learner = learner.with_suites(Suites::default());
    let mut promoted = 0;
    for lesson in &all {
        learner.teach(vec![lesson.clone()]).await?;
        let report = learner.learn(engine, &options(args, arm), &mut |_| {}).await?;
        promoted += usize::from(report.verdict == Verdict::Promote);
    }
    *drills = store.list(Table::Cache).await?;
    drills.retain(|(key, _)| key.starts_with("drill/"));
    let mut outcome = examine(engine, args, &all).await?;
    (outcome.arm, outcome.seed, outcome.promoted) = (arm.arm.clone(), seed, promoted);
    outcome.seconds = began.elapsed().as_secs_f64();
    Ok(outcome)
}

fn options(args: &AblationArgs, arm: &Arm) -> LearnOptions {
    let policy = GatePolicy {
        alpha: 0.0,
        taught_share: 0.0,
        kept_drop: 1.0,
        kept_floor: 0.0,
        documents_rise: f64::INFINITY,
        ..GatePolicy::default()
    };
    // One look at the end: all arms take all steps. A scope would hide what an adapter does to other prompts.
    let recipe = Recipe {
        lr: synth::LEARN_RATE,
        check_every: usize::MAX,
        scoped: false,
        ..arm.recipe.clone()
    };
    LearnOptions {
        steps_max: Some(args.steps),
        scales: vec![1.0],
        screen: false,
        recipe,
        policy,
        ..LearnOptions::default()
    }
}

/// Asks the adapter in place everything.
async fn examine(
    engine: &mut Engine,
    args: &AblationArgs,
    taught: &[NewExample],
) -> Result<Outcome, Error> {
    let mut rephrased = Vec::new();
    for lesson in taught {
        let Some((_, answer)) = lesson.content.question_answer() else { continue };
        let asked = lesson.rephrasings.iter();
        rephrased.extend(asked.map(|question| chat(question, answer)));
    }
    let contents: Vec<Content> = taught.iter().map(|lesson| lesson.content.clone()).collect();
    let prompts: HashSet<_> = contents.iter().map(Content::prompt_key).collect();
    let facts = World::read().facts().into_iter();
    let facts = facts.map(|fact| chat(&fact.questions[0], &fact.answer));
    let facts: Vec<Content> = facts.filter(|fact| !prompts.contains(&fact.prompt_key())).collect();
    let suite = |name: &str| read(&args.small.join(format!("suites/{name}.jsonl")));
    let suites = Suites::parse(&suite("core")?, &suite("language")?, "");
    let suites = suites.map_err(|error| Error::Misuse(error.to_string()))?.items();
    let (mut core, mut language) = (0.0, 0.0);
    for (kind, items) in suites {
        let scores = evaluate(engine, &items, &mut Scores::new(), &mut |_| {}).await;
        let line = summary(&scores.map_err(LearnError::from)?);
        match kind {
            SuiteKind::Core => core = line.accuracy.unwrap_or(0.0),
            _ => language = line.loss,
        }
    }
    Ok(Outcome {
        arm: String::new(),
        seed: 0,
        cycles: args.cycles,
        steps: args.steps,
        promoted: 0,
        taught: share(engine, &contents).await?,
        rephrased: share(engine, &rephrased).await?,
        facts: share(engine, &facts).await?,
        core,
        language,
        seconds: 0.0,
    })
}

fn chat(question: &str, answer: &str) -> Content {
    Content::Chat(synth::world::chat(question, answer))
}

/// Share of the answers that the model says when it is asked.
pub(super) async fn share(engine: &mut Engine, contents: &[Content]) -> Result<f64, Error> {
    const AT_ONCE: usize = 16;
    let mut right = 0;
    for contents in contents.chunks(AT_ONCE) {
        let wanted = |content| Wanted { content, lesson: "", rejected: None };
        let asked: Vec<_> = contents.iter().map(wanted).collect();
        let answers = said(engine, &asked).await.map_err(LearnError::from)?;
        right += answers.into_iter().filter(|answer| *answer == Some(true)).count();
    }
    Ok(right as f64 / contents.len().max(1) as f64)
}

/// Means over seeds, and of the differences to the first arm the 95 % interval of Student's t.
fn table(arms: &[Arm], outcomes: &[Outcome]) -> Result<(), Error> {
    let of = |arm: &str| outcomes.iter().filter(|o| o.arm == arm).collect::<Vec<_>>();
    let width = arms.iter().map(|arm| arm.arm.chars().count()).max().unwrap_or(0);
    let heads: String = COLUMNS.iter().map(|(name, _)| format!("{name:>24}")).collect();
    output::line(&format!("{:width$}{heads}", "arm"))?;
    let first = arms.first().map_or(Vec::new(), |arm| of(&arm.arm));
    for arm in arms {
        let own = of(&arm.arm);
        let cell = |(_, value): &Column| {
            let pairs = own.iter().filter_map(|o| {
                let other = first.iter().find(|other| other.seed == o.seed)?;
                Some(value(o) - value(other))
            });
            let mean = own.iter().map(|o| value(o)).sum::<f64>() / own.len() as f64;
            let (difference, half) = interval(&pairs.collect::<Vec<_>>());
            format!("{mean:9.2} ({difference:+6.2} ± {half:4.2})")
        };
        let cells: String = COLUMNS.iter().map(|column| format!("{:>24}", cell(column))).collect();
        output::line(&format!("{:width$}{cells}", arm.arm))?;
    }
    Ok(())
}

/// Mean and half width of the 95 % interval; infinite for a single value.
fn interval(values: &[f64]) -> (f64, f64) {
    /// Student's t at 97.5 % for 1 to 9 degrees of freedom; the normal's beyond.
    const T: [f64; 9] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let t = match values.len() {
        0 | 1 => f64::INFINITY,
        n => T.get(n - 2).copied().unwrap_or(1.96),
    };
    let half = t * (squares / (n - 1.0).max(1.0) / n).sqrt();
    (mean, if half.is_nan() { f64::INFINITY } else { half })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arms_can_be_read_and_are_not_one() {
        let arms = parse::<Arm>(ARMS, "arms").expect("the file is part of the program");
        let names: HashSet<&String> = arms.iter().map(|arm| &arm.arm).collect();
        assert_eq!(names.len(), arms.len());
        for (i, arm) in arms.iter().enumerate() {
            assert!(arms[..i].iter().all(|other| other.recipe != arm.recipe), "{}", arm.arm);
        }
    }

    #[test]
    fn an_interval_of_three_is_students() {
        let (mean, half) = interval(&[1.0, 2.0, 3.0]);
        assert!((mean - 2.0).abs() < 1e-12 && (half - 4.303 / 3f64.sqrt()).abs() < 1e-9);
        assert_eq!(interval(&[1.0]), (1.0, f64::INFINITY));
    }
}
