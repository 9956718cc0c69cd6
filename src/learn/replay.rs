//! The replay buffer's policy: what is drawn and with which weight, what is kept.
//!
//! Prioritized replay (Schaul et al. 2016) with a priority that poison cannot raise: an example's loss above the best
//! that was once reached on it, clipped. It knows no model and no store, only examples and numbers. Invariants: anchors
//! are never evicted; raw loss is never a priority; the same seed draws the same examples.

use super::example::{Example, Kind};
use super::sum_tree::SumTree;
use crate::model::random::Random;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};

/// Most examples that are drawn from.
pub const CAPACITY: usize = 4_096;

/// Most examples that gave up their place in the buffer and are still examined.
pub const RETIRED_MAX: usize = 16_384;

/// The highest priority; new examples get it.
pub const PRIORITY_MAX: f64 = LEARNABLE_MAX + PRIORITY_MIN;

/// What every example keeps, so that none is never drawn.
pub const PRIORITY_MIN: f64 = 0.05;

/// Nats above the best loss from where on more loss does not raise the priority.
const LEARNABLE_MAX: f64 = 2.0;

/// Share of the capacity that a kind may fill before the others lose places to it; more anchors than theirs are refused.
const SHARES: [(Kind, f64); 5] = [
    (Kind::Correction, 0.4),
    (Kind::Approval, 0.15),
    (Kind::Document, 0.25),
    (Kind::Synthetic, 0.1),
    (Kind::Anchor, 0.1),
];

/// How much of its rank the oldest example of a bucket keeps when one has to go.
const RECENCY_MIN: f64 = 0.5;

/// How earlier examples are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Replay {
    /// Exponent a of the priority in a draw: 0 is uniform, 1 proportional.
    pub exponent: f64,
    /// Exponent b of the importance weights (1 / (N P))^b: 0 gives every row the same weight, 1 undoes the draw's bias.
    pub importance: f64,
    /// What the priority gains in each cycle that did not measure the example's loss, up to the highest.
    pub staleness: f64,
}

impl Default for Replay {
    fn default() -> Self {
        Self { exponent: 0.6, importance: 0.0, staleness: 0.05 }
    }
}

impl Replay {
    /// An example's priority in cycle number `cycle`: what was measured, and more the longer ago that was.
    pub fn priority(&self, example: &Example, cycle: u64) -> f64 {
        let age = cycle.saturating_sub(example.measured) as f64;
        (example.priority + self.staleness * age).clamp(PRIORITY_MIN, PRIORITY_MAX)
    }

    fn mass(&self, priority: f64) -> f64 {
        priority.max(PRIORITY_MIN).powf(self.exponent)
    }
}

/// Clipped learnability: what is lost now of what was once known, `clip(now - best, 0, 2) + 0.05`, nats a token.
pub fn learnability(loss_now: f64, loss_best: f64) -> f64 {
    (loss_now - loss_best).clamp(0.0, LEARNABLE_MAX) + PRIORITY_MIN
}

/// What a run draws from.
#[derive(Debug, Clone)]
pub struct Pool {
    settings: Replay,
    tree: SumTree,
    /// Priorities without what staleness added: a drawn example's from then on.
    fresh: Vec<f64>,
    /// The smallest mass at the beginning, whose importance weight is 1.
    least: f64,
}

/// One draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// Which example.
    pub index: usize,
    /// Factor on its loss, at most 1.
    pub weight: f32,
}

impl Pool {
    /// A pool over examples, in cycle number `cycle`.
    pub fn new<'a>(
        settings: Replay,
        examples: impl ExactSizeIterator<Item = &'a Example>,
        cycle: u64,
    ) -> Pool {
        let examples: Vec<&Example> = examples.collect();
        let mass = |e: &&Example| settings.mass(settings.priority(e, cycle));
        let tree = SumTree::new(examples.iter().map(mass));
        let least = examples.iter().map(mass).fold(f64::INFINITY, f64::min);
        Pool { settings, tree, fresh: examples.iter().map(|e| e.priority).collect(), least }
    }

    /// Draws `n`, stratified: the mass in n equal parts, one draw in each. One comes twice when it holds more than a part.
    pub fn draw(&mut self, n: usize, random: &mut Random) -> Vec<Draw> {
        if self.fresh.is_empty() {
            return Vec::new();
        }
        let total = self.tree.total();
        let drawn: Vec<Draw> = (0..n)
            .map(|part| {
                let index = self.tree.find((part as f64 + random.unit()) / n as f64 * total);
                // (1 / (N P))^b over its largest value, which is at the smallest mass.
                let weight = (self.least / self.tree.mass(index)).powf(self.settings.importance);
                Draw { index, weight: weight.min(1.0) as f32 }
            })
            .collect();
        for Draw { index, .. } in &drawn {
            self.tree.set(*index, self.settings.mass(self.fresh[*index]));
        }
        drawn
    }
}

/// Most anchors of a buffer of `capacity`.
pub fn anchors_max(capacity: usize) -> usize {
    (share(Kind::Anchor) * capacity as f64) as usize
}

/// Ids to take out of a buffer so that `capacity` examples remain: from the kind that is furthest over its share, the one
/// of lowest priority × recency × trust. Ids in `waiting` (not learned yet) go last, anchors never.
pub fn evict(examples: &[&Example], capacity: usize, waiting: &HashSet<String>) -> Vec<String> {
    if examples.len() <= capacity {
        return Vec::new();
    }
    let mut kinds: BTreeMap<Kind, Vec<(&Example, f64)>> = BTreeMap::new();
    for example in examples.iter().filter(|example| example.kind != Kind::Anchor) {
        kinds.entry(example.kind).or_default().push((example, example.priority * trust(example)));
    }
    for bucket in kinds.values_mut() {
        bucket.sort_by(|(a, _), (b, _)| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
        let n = bucket.len() as f64;
        for (rank, (_, worth)) in bucket.iter_mut().enumerate() {
            *worth *= RECENCY_MIN + (1.0 - RECENCY_MIN) * (rank + 1) as f64 / n;
        }
        // Popped from the end, so the first to go come last.
        bucket.sort_by(|(a, worth_a), (b, worth_b)| {
            let waits = |e: &Example| waiting.contains(&e.id);
            (waits(b).cmp(&waits(a))).then(worth_b.total_cmp(worth_a)).then(b.id.cmp(&a.id))
        });
    }
    let mut dropped = Vec::new();
    while examples.len() - dropped.len() > capacity {
        let over = |(kind, bucket): &(&Kind, &mut Vec<_>)| bucket.len() as f64 / share(**kind);
        let fullest = kinds.iter_mut().max_by(|a, b| over(a).total_cmp(&over(b)));
        match fullest.and_then(|(_, bucket)| bucket.pop()) {
            Some((example, _)) => dropped.push(example.id.clone()),
            // Only anchors are left.
            None => break,
        }
    }
    dropped
}

fn share(kind: Kind) -> f64 {
    SHARES.iter().find(|(known, _)| *known == kind).map_or(1.0, |(_, share)| *share)
}

/// How sure it is that a person wanted just this: most where they saw the answer that it replaces.
fn trust(example: &Example) -> f64 {
    if example.rejected.is_some() { 1.0 } else { 0.75 }
}
