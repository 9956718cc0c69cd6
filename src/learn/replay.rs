//! The replay buffer's policy: what is drawn, what is kept, what counts as the same.
//!
//! It knows no model and no store, only examples and numbers. Invariants: anchors are never evicted; raw loss is
//! never a priority, since it rewards noise and poison, only loss above the best that was once reached.

use super::example::{Example, Kind};
use crate::model::random::Random;
use std::collections::{BTreeMap, HashSet};

/// Most examples kept.
pub const CAPACITY: usize = 4_096;

/// The highest priority; new examples get it.
pub const PRIORITY_MAX: f64 = LEARNABLE_MAX + PRIORITY_MIN;

/// What every example keeps, so that none is never drawn.
pub const PRIORITY_MIN: f64 = 0.05;

/// Nats above the best loss from where on more loss does not raise the priority.
const LEARNABLE_MAX: f64 = 2.0;

/// Exponent of the priority in a draw (0 is uniform, 1 proportional).
const EXPONENT: f64 = 0.6;

/// Share of the capacity that a kind may fill before the others lose places to it.
const SHARES: [(Kind, f64); 4] = [
    (Kind::Correction, 0.45),
    (Kind::Approval, 0.15),
    (Kind::Document, 0.25),
    (Kind::Synthetic, 0.15),
];

/// Clipped learnability: what is lost now of what was once known, `clip(now - best, 0, 2) + 0.05`, nats a token.
pub fn learnability(loss_now: f64, loss_best: f64) -> f64 {
    (loss_now - loss_best).clamp(0.0, LEARNABLE_MAX) + PRIORITY_MIN
}

/// Draws `n` indices, stratified: the total mass of `priority^0.6` in n equal parts, one draw in each. An index can
/// come twice when it holds more than a part.
pub fn draw(priorities: &[f64], n: usize, random: &mut Random) -> Vec<usize> {
    let masses: Vec<f64> = priorities.iter().map(|p| p.max(PRIORITY_MIN).powf(EXPONENT)).collect();
    let total: f64 = masses.iter().sum();
    let mut drawn = Vec::with_capacity(n);
    let (mut index, mut passed) = (0, 0.0);
    for part in 0..n {
        let point = (part as f64 + random.unit()) / n as f64 * total;
        while index + 1 < masses.len() && passed + masses[index] <= point {
            passed += masses[index];
            index += 1;
        }
        if index < masses.len() {
            drawn.push(index);
        }
    }
    drawn
}

/// Ids to drop so that `capacity` examples remain: from the kind that is furthest over its share, the one of lowest
/// priority, the oldest of equals. Ids in `protected` (not learned yet) go last, anchors never.
pub fn evict(examples: &[Example], capacity: usize, protected: &HashSet<String>) -> Vec<String> {
    let mut kinds: BTreeMap<Kind, Vec<&Example>> = BTreeMap::new();
    for example in examples.iter().filter(|example| example.kind != Kind::Anchor) {
        kinds.entry(example.kind).or_default().push(example);
    }
    for bucket in kinds.values_mut() {
        // Popped from the end, so the first to go come last.
        bucket.sort_by(|a, b| {
            let waits = |e: &Example| protected.contains(&e.id);
            (waits(b).cmp(&waits(a)))
                .then(b.priority.total_cmp(&a.priority))
                .then(b.created_ms.cmp(&a.created_ms))
                .then(b.id.cmp(&a.id))
        });
    }
    let mut dropped = Vec::new();
    while examples.len() - dropped.len() > capacity {
        let over = |(kind, bucket): &(&Kind, &mut Vec<&Example>)| {
            let share = SHARES.iter().find(|(k, _)| k == *kind).map_or(1.0, |(_, share)| *share);
            bucket.len() as f64 / share
        };
        let fullest = kinds.iter_mut().max_by(|a, b| over(a).total_cmp(&over(b)));
        match fullest.and_then(|(_, bucket)| bucket.pop()) {
            Some(example) => dropped.push(example.id.clone()),
            // Only anchors are left.
            None => break,
        }
    }
    dropped
}
