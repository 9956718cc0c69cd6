//! What small losses of many cycles add up to: for each suite of answers, evidence that losses outweigh gains.
//!
//! A loss that no cycle's test can see is seen once it was suffered often enough, however often one looks (`EProcess`). Texts'
//! losses need no such evidence: a candidate's are compared with the base model's own, so what many cycles have cost is measured
//! anew in each, not summed. It decides nothing. Invariant: what is counted are changes between HEAD and what became HEAD, so a
//! candidate that was not promoted leaves no trace.

use super::kinds::SuiteKind;
use super::stats::EProcess;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Changes by suite, since the base model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Drift(BTreeMap<SuiteKind, EProcess>);

impl Drift {
    /// The suites that are watched: answers that no lesson of a cycle is meant to change.
    pub const WATCHED: [SuiteKind; 4] =
        [SuiteKind::Core, SuiteKind::Refusals, SuiteKind::Everyday, SuiteKind::Kept];

    /// With a suite's changes; none of a suite that is not watched.
    pub fn with(mut self, kind: SuiteKind, losses: usize, gains: usize) -> Self {
        if Self::WATCHED.contains(&kind) && (losses, gains) != (0, 0) {
            let sum = self.of(kind).with(losses, gains);
            self.0.insert(kind, sum);
        }
        self
    }

    /// With what was counted of a suite before, in its place.
    pub fn set(mut self, kind: SuiteKind, sum: EProcess) -> Self {
        self.0.insert(kind, sum);
        self.0.retain(|_, sum| *sum != EProcess::default());
        self
    }

    /// A suite's sum.
    pub fn of(&self, kind: SuiteKind) -> EProcess {
        self.0.get(&kind).copied().unwrap_or_default()
    }

    /// The suites that changed at all, with their sums.
    pub fn iter(&self) -> impl Iterator<Item = (SuiteKind, EProcess)> {
        self.0.iter().map(|(kind, sum)| (*kind, *sum))
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
