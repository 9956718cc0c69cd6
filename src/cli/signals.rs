//! `apprentice signals`: whether an example's loss, the norm of its gradient and that gradient's agreement with what is replayed
//! tell bad lessons from honest ones.
//!
//! These are the usual screens of single examples before replay: a distance from the median of what was taught before, in median
//! deviations (`learn::stats`), and a cosine (as A-GEM takes it; Chaudhry et al. 2019). Each lesson is measured alone, on
//! the base model with a fresh adapter. Invariant: nothing is trained, since the rate of the one step is 0.

use super::attacks::attempts;
use super::lines::append;
use super::synth::world::World;
use super::{Common, context, output};
use crate::error::Error;
use crate::learn::engine::Engine;
use crate::learn::everyday;
use crate::learn::example::{NewExample, lessons};
use crate::learn::learner::LearnError;
use crate::learn::recipe::Recipe;
use crate::learn::scope::Scope;
use crate::learn::stats::outlying_above;
use crate::learn::student::{Objective, Passage, Student, StudentResult, TrainItem, TrainPlan};
use crate::train::Surgery;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// Arguments of `signals`.
#[derive(Args)]
pub struct SignalsArgs {
    /// The folder that `synth --small` wrote; else the default model, with the lessons of `suites/`
    #[arg(long, value_name = "DIR")]
    small: Option<PathBuf>,
    /// Results, a JSON line a kind of lesson
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What is seen of one lesson: the more, the worse.
#[derive(Debug, Clone, Copy)]
struct Signals {
    /// Its loss, nats a token.
    loss: f64,
    /// Its gradient's norm.
    norm: f64,
    /// The negated cosine of its gradient with that of the base's own everyday answers.
    against: f64,
}

/// One signal of one kind of lesson beside the honest ones.
#[derive(Debug, Serialize)]
struct Row {
    kind: String,
    signal: &'static str,
    lessons: usize,
    honest: usize,
    /// The share of pairs in which the bad lesson shows more of it than the honest one: half says nothing.
    area: f64,
    /// Bad lessons that stand out from the honest ones, and honest ones that stand out from each other.
    stand_out: [usize; 2],
}

pub async fn signals(common: &Common, args: SignalsArgs) -> Result<(), Error> {
    let kept = |text: &str| lessons(text, "file").map_err(LearnError::from);
    let (mut engine, honest, bad) = match &args.small {
        Some(folder) => {
            let small = Common { model: Some(folder.join("small.gguf")), ..common.clone() };
            let attacks = attempts(0)?.into_iter().map(|a| (a.name.to_string(), a.lessons));
            let honest = kept(&World::read().lessons())?;
            (context::engine(&small).await?, honest, attacks.collect())
        }
        None => {
            let harmful = kept(include_str!("../../suites/lessons-harmful.jsonl"))?;
            let honest = kept(include_str!("../../suites/lessons-good.jsonl"))?;
            let bad = vec![("core questions answered wrongly".to_string(), harmful)];
            (context::engine(common).await?, honest, bad)
        }
    };
    let replayed = replayed(&mut engine).await.map_err(LearnError::from)?;
    let honest = measured(&mut engine, &honest, &replayed).await?;
    output::line(&format!(
        "{:50}{:>10}{:>8}{:>16}{:>18}",
        "", "", "area", "stand out", "honest ones do"
    ))?;
    for (kind, lessons) in bad {
        let seen = measured(&mut engine, &lessons, &replayed).await?;
        for row in rows(&kind, &seen, &honest) {
            if let Some(out) = &args.out {
                append(out, &row)?;
            }
            let Row { kind, signal, lessons, honest, area, stand_out: [bad, good] } = row;
            output::line(&format!(
                "{kind:50}{signal:>10}{area:>8.2}{:>16}{:>18}",
                format!("{bad} of {lessons}"),
                format!("{good} of {honest}")
            ))?;
        }
    }
    Ok(())
}

fn rows(kind: &str, bad: &[Signals], honest: &[Signals]) -> [Row; 3] {
    let row = |signal, of: fn(&Signals) -> f64| {
        let [bad, honest] = [bad, honest].map(|all| all.iter().map(of).collect::<Vec<f64>>());
        Row {
            kind: kind.into(),
            signal,
            lessons: bad.len(),
            honest: honest.len(),
            area: area(&bad, &honest),
            stand_out: [&bad, &honest].map(|all| standing_out(all, &honest)),
        }
    };
    [row("loss", |s| s.loss), row("norm", |s| s.norm), row("against", |s| s.against)]
}

/// The share of pairs in which the first is larger; ties count half.
fn area(bad: &[f64], honest: &[f64]) -> f64 {
    let wins = bad.iter().flat_map(|b| {
        honest.iter().map(move |h| match b.total_cmp(h) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        })
    });
    wins.sum::<f64>() / (bad.len() * honest.len()).max(1) as f64
}

/// How many stand out above what is usual.
fn standing_out(all: &[f64], usual: &[f64]) -> usize {
    let limit = outlying_above(usual);
    all.iter().filter(|x| **x > limit).count()
}

/// The mean gradient of what the base says to everyday prompts.
async fn replayed(engine: &mut Engine) -> StudentResult<Vec<f32>> {
    engine.use_adapter(None, Scope::everything()).await?;
    let own = everyday::own_answers(engine).await?;
    let mut sum: Vec<f32> = Vec::new();
    for told in own {
        let (_, gradient) = gradient(engine, Passage::Chat(told.messages)).await?;
        sum.resize(gradient.len(), 0.0);
        sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
    }
    Ok(sum)
}

async fn measured(
    engine: &mut Engine,
    lessons: &[NewExample],
    replayed: &[f32],
) -> Result<Vec<Signals>, Error> {
    let mut seen = Vec::with_capacity(lessons.len());
    for lesson in lessons {
        let passage = lesson.content.passage();
        let (loss, gradient) = gradient(engine, passage).await.map_err(LearnError::from)?;
        let norm = dot(&gradient, &gradient).sqrt();
        let against = -dot(&gradient, replayed) / (norm * dot(replayed, replayed).sqrt());
        seen.push(Signals { loss, norm, against });
    }
    Ok(seen)
}

/// A passage's loss, and its gradient up to a factor that is the same for all: the first moment after one step.
async fn gradient(engine: &mut Engine, passage: Passage) -> StudentResult<(f64, Vec<f32>)> {
    let Recipe { method, rank, alpha, .. } = Recipe::default();
    let plan = TrainPlan {
        method,
        rank,
        alpha,
        lr: 0.0,
        b_ratio: 1.0,
        steps: 1,
        warmup: 0,
        clip: f32::MAX,
        seed: 0,
        surgery: Surgery::Off,
        penalty: None,
    };
    engine.begin_training(None, &plan).await?;
    let objective = Objective::CrossEntropy;
    let item = TrainItem { passage, objective, weight: 1.0, protects: false };
    let report = engine.train_step(&[item]).await?;
    let [first, _] = engine.snapshot().await?.moments;
    Ok((f64::from(report.loss), first.weights))
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_tells_them_apart_has_the_whole_area() {
        let honest = [1.0, 1.1, 1.2, 0.9, 1.0];
        assert_eq!(area(&[2.0, 3.0], &honest), 1.0);
        assert_eq!(area(&honest, &honest), 0.5);
        assert_eq!(standing_out(&[2.0, 1.1, 0.0], &honest), 1, "only what is above");
        assert_eq!(standing_out(&honest, &honest), 0);
    }
}
