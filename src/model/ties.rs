//! Two adapters that went on from one as one again: by TIES (Yadav et al. 2023, "Resolving interference when merging
//! models"), or by the plain mean of what each changed.
//!
//! What is merged are changes of the flat buffer since the common ancestor. Factors of adapters that were trained apart
//! are not aligned (B R and R⁻¹ A do the same as B and A), so their numbers mean nothing to each other; those that
//! started from one adapter share its factors, and their changes lie in the same places. It knows no versions.
//! Invariant: where only one of the two changed anything, `ties` takes that change whole.

use super::adapter::Adapter;
use serde::{Deserialize, Serialize};

/// Share of each side's changes that are kept, the largest (the paper's k = 20 %).
const KEEP: f64 = 0.2;

/// How two adapters become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Merging {
    /// Trim, elect signs, mean of those that agree.
    Ties,
    /// The mean of the changes: each side's lessons at half strength.
    Mean,
}

impl Merging {
    /// The way of a name.
    pub fn named(name: &str) -> Result<Merging, String> {
        match name {
            "ties" => Ok(Merging::Ties),
            "mean" => Ok(Merging::Mean),
            _ => Err(format!("`{name}` is no way to merge; use ties or mean")),
        }
    }
}

/// Merges two adapters of one shape that went on from `ancestor`; none if a shape differs.
pub fn merge(ancestor: &Adapter, sides: [&Adapter; 2], how: Merging) -> Option<Adapter> {
    let shape = |adapter: &Adapter| (adapter.method, adapter.rank, adapter.weights.len());
    let alike = sides.iter().all(|side| {
        shape(side) == shape(ancestor) && side.alpha.to_bits() == ancestor.alpha.to_bits()
    });
    if !alike {
        return None;
    }
    let change = |side: &Adapter| -> Vec<f32> {
        side.weights.iter().zip(&ancestor.weights).map(|(now, then)| now - then).collect()
    };
    let [mut one, mut two] = sides.map(change);
    if how == Merging::Ties {
        trim(&mut one);
        trim(&mut two);
    }
    let both = one.iter().zip(&two).map(|(a, b)| match how {
        Merging::Mean => 0.5 * (a + b),
        Merging::Ties => agreed(*a, *b),
    });
    let weights = ancestor.weights.iter().zip(both).map(|(then, change)| then + change).collect();
    Some(Adapter { weights, ..*ancestor })
}

/// Sets all but the largest share of the changes that are not 0 to 0.
fn trim(changes: &mut [f32]) {
    let mut sizes: Vec<f32> = changes.iter().map(|c| c.abs()).filter(|size| *size > 0.0).collect();
    let kept = (sizes.len() as f64 * KEEP).ceil() as usize;
    if kept == 0 {
        return;
    }
    let (_, least, _) = sizes.select_nth_unstable_by(kept - 1, |a, b| b.total_cmp(a));
    let least = *least;
    changes.iter_mut().filter(|change| change.abs() < least).for_each(|change| *change = 0.0);
}

/// The mean of the changes whose sign is that of their sum; where they cancel out, nothing.
fn agreed(a: f32, b: f32) -> f32 {
    let sign = a + b;
    let agrees = |change: f32| change != 0.0 && (change > 0.0) == (sign > 0.0);
    match (sign == 0.0, agrees(a), agrees(b)) {
        (true, _, _) => 0.0,
        (_, true, true) => 0.5 * sign,
        (_, true, false) => a,
        (_, false, _) => b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::method::Method;

    fn adapter(weights: &[f32]) -> Adapter {
        Adapter { method: Method::Lora, rank: 1, alpha: 1.0, weights: weights.to_vec() }
    }

    #[test]
    fn the_mean_halves_and_ties_keeps_what_agrees() {
        let ancestor = adapter(&[1.0; 10]);
        // Changes: the largest fifth of ten is two.
        let one = adapter(&[5.0, 1.1, 1.2, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, -2.0]);
        let two = adapter(&[3.0, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 6.0, 1.2]);
        let mean = merge(&ancestor, [&one, &two], Merging::Mean).unwrap();
        assert_eq!((mean.weights[0], mean.weights[8]), (4.0, 3.55));
        let ties = merge(&ancestor, [&one, &two], Merging::Ties).unwrap();
        // 4 and 2 agree; -3 and 5 are alone in their places; the rest is trimmed.
        assert_eq!(ties.weights, [4.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 6.0, -2.0]);
    }

    #[test]
    fn opposed_changes_go_to_the_stronger() {
        assert_eq!([agreed(3.0, -2.0), agreed(-3.0, 2.0), agreed(1.0, -1.0)], [3.0, -3.0, 0.0]);
    }

    #[test]
    fn other_shapes_are_refused() {
        let (ancestor, other) = (adapter(&[1.0; 4]), adapter(&[1.0; 5]));
        assert!(merge(&ancestor, [&ancestor, &other], Merging::Mean).is_none());
    }
}
