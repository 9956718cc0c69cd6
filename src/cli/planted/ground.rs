//! Where cycles are planted: the small model's world, or the default model's suites and lessons.
//!
//! It trains nothing. Invariant: what a candidate really lost is measured on items that the gate does not see: in the small
//! world other wordings and choices of the same facts, else the core questions that are not in the gate's sample.

use super::super::context;
use super::super::lines::read;
use super::super::synth::{LEARN_RATE, world::World};
use crate::error::Error;
use crate::learn::engine::Engine;
use crate::learn::evaluate::{Scores, evaluate};
use crate::learn::example::{NewExample, lessons};
use crate::learn::gate::{Pair, Score, SuiteKind};
use crate::learn::learner::LearnError;
use crate::learn::recipe::Recipe;
use crate::learn::suite::{Item, Suites, sample};
use std::collections::BTreeMap;
use std::path::Path;

/// Other wordings and choices of the small world's core questions, on which the loss is measured.
const OTHERWISE: usize = 5;

/// Items with their scores under the base model.
pub struct Scored {
    pub items: Vec<Item>,
    pub before: Vec<Score>,
}

/// What cycles are planted in.
pub struct Ground {
    /// What the gate sees, or a sample of it.
    suites: BTreeMap<SuiteKind, Scored>,
    /// On which the loss is measured; none: on the core questions that the gate does not see.
    otherwise: Option<Scored>,
    /// Wrong answers.
    pub harmful: Vec<NewExample>,
    /// New facts.
    pub harmless: Vec<NewExample>,
    /// Sizes of the core sample that the gate decides on.
    pub samples: [usize; 3],
    /// How candidates are trained.
    pub recipe: Recipe,
    /// Learning rates, of which a cycle takes one.
    pub rates: &'static [f32],
}

/// What a candidate did to the items.
pub struct Measured {
    /// Pairs of the base and the candidate, by suite.
    pub pairs: BTreeMap<SuiteKind, Vec<(Item, Pair)>>,
    /// Pairs that tell what was really lost.
    pub real: Vec<Pair>,
}

impl Ground {
    /// The small model's world, in the folder that `synth --small` wrote.
    pub async fn small(engine: &mut Engine, folder: &Path) -> Result<Ground, Error> {
        let world = World::read();
        let otherwise: String =
            (1..=OTHERWISE).map(|number| world.core_otherwise(number)).collect();
        let otherwise = Suites::parse(&otherwise, "", "");
        let otherwise = otherwise.map_err(|error| Error::Misuse(error.to_string()))?.items();
        let otherwise = otherwise.into_values().flatten().collect();
        let suites = context::suites(&folder.join("suites"))?.items();
        let taught = |name: &str| {
            let text = read(&folder.join(name))?;
            Ok::<_, Error>(lessons(&text, name).map_err(LearnError::from)?)
        };
        Ok(Ground {
            suites: all_scored(engine, suites).await?,
            otherwise: Some(scored(engine, otherwise).await?),
            harmful: taught("lessons-harmful.jsonl")?,
            harmless: taught("lessons.jsonl")?,
            samples: [16, 32, 48],
            recipe: Recipe { check_every: usize::MAX, scoped: false, ..Recipe::default() },
            rates: &[LEARN_RATE],
        })
    }

    /// The built-in suites and lessons, for a model that knows the world.
    pub async fn real(engine: &mut Engine) -> Result<Ground, Error> {
        let mut suites = Suites::built_in().items();
        for (kind, most) in [(SuiteKind::Refusals, 32), (SuiteKind::Language, 16)] {
            let items = suites.remove(&kind).unwrap_or_default();
            suites.insert(kind, sample(items, Some(most), 0));
        }
        let taught = |text: &str, name: &str| lessons(text, name).map_err(LearnError::from);
        // What a lesson is drilled with takes most of a short cycle, and is not what is examined here.
        let recipe = Recipe {
            neighbours: 2,
            near_misses: 0,
            rewordings: 2,
            samples_max: 2,
            check_every: usize::MAX,
            scoped: false,
            ..Recipe::default()
        };
        Ok(Ground {
            suites: all_scored(engine, suites).await?,
            otherwise: None,
            harmful: taught(include_str!("../../../suites/lessons-harmful.jsonl"), "harmful")?,
            harmless: taught(include_str!("../../../suites/lessons-good.jsonl"), "good")?,
            samples: [40, 80, 120],
            recipe,
            // Harm of all strengths: at the standard rate few steps do little to a model of this size.
            rates: &[5e-4, 1e-3, 2e-3],
        })
    }

    /// Asks the adapter in place everything.
    pub async fn measure(&self, engine: &mut Engine, cycle: u64) -> Result<Measured, Error> {
        let mut pairs = BTreeMap::new();
        for (kind, scored) in &self.suites {
            pairs.insert(*kind, scored.paired(engine).await?);
        }
        let real = match &self.otherwise {
            Some(otherwise) => otherwise.paired(engine).await?,
            None => {
                let core = &pairs[&SuiteKind::Core];
                let seen = chosen(core, Some(self.samples[2]), cycle);
                let unseen = |(item, _): &&(Item, Pair)| !seen.iter().any(|s| s.0.key == item.key);
                core.iter().filter(unseen).cloned().collect()
            }
        };
        Ok(Measured { pairs, real: real.into_iter().map(|(_, pair)| pair).collect() })
    }
}

impl Scored {
    async fn paired(&self, engine: &mut Engine) -> Result<Vec<(Item, Pair)>, Error> {
        let after = scores(engine, &self.items).await?;
        let both = self.items.iter().zip(&self.before).zip(after);
        let pair = |((item, before), after): ((&Item, &Score), Score)| {
            (item.clone(), Pair { before: *before, after })
        };
        Ok(both.map(pair).collect())
    }
}

/// A sample of pairs, as the gate would draw it.
pub fn chosen(pairs: &[(Item, Pair)], most: Option<usize>, seed: u64) -> Vec<(Item, Pair)> {
    let items = sample(pairs.iter().map(|(item, _)| item.clone()).collect(), most, seed);
    let held = |item: &Item| items.iter().any(|other| other.key == item.key);
    pairs.iter().filter(|(item, _)| held(item)).cloned().collect()
}

async fn all_scored(
    engine: &mut Engine,
    suites: BTreeMap<SuiteKind, Vec<Item>>,
) -> Result<BTreeMap<SuiteKind, Scored>, Error> {
    let mut all = BTreeMap::new();
    for (kind, items) in suites {
        all.insert(kind, scored(engine, items).await?);
    }
    Ok(all)
}

async fn scored(engine: &mut Engine, items: Vec<Item>) -> Result<Scored, Error> {
    let before = scores(engine, &items).await?;
    Ok(Scored { items, before })
}

async fn scores(engine: &mut Engine, items: &[Item]) -> Result<Vec<Score>, Error> {
    let scored = evaluate(engine, items, &mut Scores::new(), &mut |_| {}).await;
    Ok(scored.map_err(LearnError::from)?)
}
