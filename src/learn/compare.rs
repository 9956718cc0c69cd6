//! What lies between two versions: lessons learned and lost, and how each suite moved, with the chance of it.
//!
//! It reads records and cached scores and asks no model. Invariant: a suite's line comes from items that both versions
//! answered, paired; what was not scored under both has no line.

use super::evaluate::Scores;
use super::gate::{Pair, SuiteKind, SuiteReport, report};
use super::keys::base_key;
use super::learner::{LearnResult, Learner};
use super::version::learned;
use crate::store::Store;
use serde::Serialize;
use std::collections::BTreeMap;

/// The difference from one version to another; none is the base model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The first version.
    pub from: Option<String>,
    /// The second.
    pub to: Option<String>,
    /// Examples that the second learned and the first did not, by id.
    pub learned: Vec<String>,
    /// Examples that the first learned and the second did not.
    pub unlearned: Vec<String>,
    /// Each suite on the items that both answered; p is of no loss, small means proven worse.
    pub suites: BTreeMap<SuiteKind, SuiteReport>,
    /// Items that the first got right and the second does not.
    pub lost: Vec<String>,
    /// Items that the second gets right and the first did not.
    pub won: Vec<String>,
}

impl<S: Store> Learner<S> {
    /// Compares two versions, by any of their names.
    pub async fn diff(&self, from: &str, to: &str) -> LearnResult<Difference> {
        let (from, to) = (self.resolve(from)?, self.resolve(to)?);
        let [known, knows] = [&from, &to].map(|id| learned(&self.versions, id.as_deref()));
        let only = |one: &std::collections::HashMap<String, u64>, other: &_| {
            let missing = |id: &&String| !std::collections::HashMap::contains_key(other, *id);
            let mut ids: Vec<String> = one.keys().filter(missing).cloned().collect();
            ids.sort();
            ids
        };
        let (before, after) = (self.scores_of(&from).await?, self.scores_of(&to).await?);
        let mut pairs: BTreeMap<SuiteKind, Vec<Pair>> = BTreeMap::new();
        let (mut lost, mut won) = (Vec::new(), Vec::new());
        for (key, before) in &before {
            let Some(after) = after.get(key) else { continue };
            let pair = Pair { before: *before, after: *after };
            match (before.correct, after.correct) {
                (Some(true), Some(false)) => lost.push(key.clone()),
                (Some(false), Some(true)) => won.push(key.clone()),
                _ => {}
            }
            pairs.entry(suite_of(key, pair)).or_default().push(pair);
        }
        let suites = pairs.iter().map(|(kind, pairs)| (*kind, report(*kind, pairs))).collect();
        let (learned, unlearned) = (only(&knows, &known), only(&known, &knows));
        Ok(Difference { from, to, learned, unlearned, suites, lost, won })
    }

    /// What is known of a version's answers; the base model's are kept by its hash, which any version names.
    pub(super) async fn scores_of(&self, id: &Option<String>) -> LearnResult<Scores> {
        match (id, self.versions.values().next()) {
            (Some(id), _) => self.scores(id).await,
            (None, Some(version)) => self.scores(&base_key(&version.base_hash)).await,
            (None, None) => Ok(Scores::new()),
        }
    }
}

/// The suite of a score's key, as it is for lessons that are known already.
fn suite_of(key: &str, pair: Pair) -> SuiteKind {
    let named = key.split('/').next().and_then(SuiteKind::named);
    match (named, pair.after.correct) {
        (Some(kind), _) => kind,
        (None, None) => SuiteKind::KeptDocuments,
        (None, Some(_)) => SuiteKind::Kept,
    }
}
