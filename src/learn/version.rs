//! Versions: an adapter with its parent, its base model, what it learned, and its report; and what is left of pruned ones.
//!
//! It knows no store. Invariants: a version is immutable; its id is the hash of its record, so a damaged record is
//! noticed as a damaged adapter is. What HEAD has learned does not depend on how much of its line was pruned.

use super::drift::Drift;
use super::gate::{SuiteKind, SuiteReport};
use super::stats::EProcess;
use crate::store::sha256_hex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{Deref, DerefMut};

/// A version's record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// First 16 hex digits of the sha256 of the record without its id.
    pub id: String,
    /// The version that it was trained from; none is the base model.
    pub parent: Option<String>,
    /// The other version that it was merged from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<String>,
    /// Versions on the longest way from the base model to it, itself included; 0 of older programs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub depth: u64,
    /// Where it came from, if it was not learned here: it becomes HEAD only through the gate (`adopt`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// sha256 of the adapter's bytes, hex.
    pub adapter: String,
    /// sha256 of what its lessons need of the adapter (EWC), hex, where that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub importance: Option<String>,
    /// sha256 of the base model's file, hex.
    pub base_hash: String,
    /// Examples that it was trained on, replayed ones included.
    pub examples: Vec<String>,
    /// Those of the new examples that it says (documents always).
    pub learned: Vec<String>,
    /// What it lost on each example that its cycle measured, nats a token; none of older programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub losses: Option<BTreeMap<String, f64>>,
    /// Its report when it was promoted.
    pub suites: BTreeMap<SuiteKind, SuiteReport>,
    /// Whether it answers only near what it learned; elsewhere the base model does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scoped: bool,
    /// The share of the way from its parent to the trained candidate.
    pub scale: f32,
    /// Core answers lost and won since the base model; `drift` in records, where it stood alone once.
    #[serde(rename = "drift")]
    pub core: EProcess,
    /// The same of the other suites that are watched; none of older programs.
    #[serde(default, skip_serializing_if = "Drift::is_empty")]
    pub drifts: Drift,
    /// When it was made, milliseconds since 1970.
    pub created_ms: u64,
    /// One sentence for a person.
    pub note: String,
}

impl Version {
    /// The version with its id.
    pub fn sealed(mut self) -> Self {
        self.id = id_of(&self.record());
        self
    }

    /// The versions that it was made from.
    pub fn parents(&self) -> impl Iterator<Item = &str> {
        self.parent.iter().chain(&self.merged).map(String::as_str)
    }

    /// Answers lost and won since the base model.
    pub fn drift(&self) -> Drift {
        self.drifts.clone().set(SuiteKind::Core, self.core)
    }

    /// The blobs that it needs.
    pub fn blobs(&self) -> impl Iterator<Item = String> {
        [Some(&self.adapter), self.importance.as_ref()].into_iter().flatten().cloned()
    }

    /// The record's bytes, in which the id is left empty: they hash to it.
    pub fn record(&self) -> Vec<u8> {
        let bare = Version { id: String::new(), ..self.clone() };
        serde_json::to_vec(&bare).expect("a version is plain JSON")
    }

    /// The version of a record, unless the bytes do not hash to `id`.
    pub fn from_record(id: &str, record: &[u8]) -> Option<Self> {
        let version: Version = serde_json::from_slice(record).ok()?;
        (id_of(record) == id).then(|| Version { id: id.into(), ..version })
    }
}

fn id_of(record: &[u8]) -> String {
    sha256_hex(record)[..16].to_string()
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference; a reference is as small on wasm32"
)]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// What a line of versions measured of one example.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The lowest loss, nats a token.
    pub best: f64,
    /// The last one.
    pub last: f64,
    /// The depth of the version that measured it last.
    pub at: u64,
}

/// What is known of a pruned version that a kept one descends from: the sum of its line.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Pruned {
    /// When each example was last learned in the line, milliseconds since 1970.
    pub learned: BTreeMap<String, u64>,
    /// Examples that the line was trained on.
    pub saw: BTreeSet<String>,
    /// What was measured of each.
    #[serde(default)]
    pub measured: BTreeMap<String, Measured>,
    /// The pruned version's depth.
    #[serde(default)]
    pub depth: u64,
}

/// All versions by id, which is what they are used as; with the pruned parents of the oldest.
#[derive(Debug, Clone, Default)]
pub struct Versions {
    kept: BTreeMap<String, Version>,
    pruned: BTreeMap<String, Pruned>,
}

impl Deref for Versions {
    type Target = BTreeMap<String, Version>;

    fn deref(&self) -> &Self::Target {
        &self.kept
    }
}

impl DerefMut for Versions {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.kept
    }
}

impl Versions {
    /// With what is known of pruned parents.
    pub fn remember(&mut self, pruned: BTreeMap<String, Pruned>) {
        self.pruned = pruned;
    }

    /// What is known of pruned parents.
    pub fn pruned(&self) -> &BTreeMap<String, Pruned> {
        &self.pruned
    }

    /// The sum of what led to a version, of the examples that `counts`.
    pub fn sum(&self, id: &str, counts: &dyn Fn(&str) -> bool) -> Pruned {
        let learned = learned(self, Some(id)).into_iter().filter(|(id, _)| counts(id)).collect();
        let saw = self.saw(id).into_iter().filter(|id| counts(id)).map(str::to_string).collect();
        let measured = self.measured(Some(id)).into_iter().filter(|(id, _)| counts(id)).collect();
        Pruned { learned, saw, measured, depth: self.depth(Some(id)) }
    }

    /// The examples that a version and what led to it were trained on.
    pub fn saw(&self, id: &str) -> BTreeSet<&str> {
        let Ancestry { versions, pruned } = self.ancestry(Some(id));
        let before = pruned.into_iter().flat_map(|pruned| &pruned.saw);
        versions.into_iter().flat_map(|v| &v.examples).chain(before).map(String::as_str).collect()
    }

    /// What the versions up to `head` measured of each example: it follows from the line alone, so a line that is left
    /// behind or rebuilt leaves no trace.
    pub fn measured(&self, head: Option<&str>) -> BTreeMap<String, Measured> {
        let Ancestry { mut versions, pruned } = self.ancestry(head);
        let mut all: BTreeMap<String, Measured> = BTreeMap::new();
        let known = pruned.into_iter().flat_map(|pruned| &pruned.measured);
        for (id, earlier) in known {
            let both = all.entry(id.clone()).or_insert(*earlier);
            both.best = both.best.min(earlier.best);
            if (earlier.at, earlier.last) > (both.at, both.last) {
                (both.at, both.last) = (earlier.at, earlier.last);
            }
        }
        // Versions of one depth are ordered by what they are, not by when they were made.
        versions.sort_by(|a, b| (a.depth, &a.adapter).cmp(&(b.depth, &b.adapter)));
        for version in versions {
            for (id, loss) in version.losses.iter().flatten() {
                let best = all.get(id).map_or(*loss, |earlier| earlier.best.min(*loss));
                all.insert(id.clone(), Measured { best, last: *loss, at: version.depth });
            }
        }
        all
    }

    /// Whether all versions up to `head` say what they measured.
    pub fn say_losses(&self, head: Option<&str>) -> bool {
        let Ancestry { versions, pruned } = self.ancestry(head);
        let made_here = |version: &Version| version.examples.is_empty() || version.losses.is_some();
        versions.into_iter().all(made_here) && pruned.into_iter().all(|pruned| pruned.depth > 0)
    }

    /// Versions on the longest way from the base model to `head`.
    pub fn depth(&self, head: Option<&str>) -> u64 {
        let Some(id) = head else { return 0 };
        match (self.kept.get(id), self.pruned.get(id)) {
            (Some(version), _) if version.depth > 0 => version.depth,
            (Some(_), _) => lineage(self, head).len() as u64,
            (None, pruned) => pruned.map_or(0, |pruned| pruned.depth),
        }
    }

    /// All that led to a version.
    pub fn ancestry(&self, head: Option<&str>) -> Ancestry<'_> {
        let (mut versions, mut pruned) = (Vec::new(), Vec::new());
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut next: Vec<&str> = head.into_iter().collect();
        while let Some(id) = next.pop() {
            if !seen.insert(id) {
                continue;
            }
            match self.kept.get(id) {
                Some(version) => {
                    versions.push(version);
                    next.extend(version.parents());
                }
                None => pruned.extend(self.pruned.get(id)),
            }
        }
        Ancestry { versions, pruned }
    }
}

/// All that led to a version.
#[derive(Debug)]
pub struct Ancestry<'a> {
    /// The versions, itself included, in no order.
    pub versions: Vec<&'a Version>,
    /// The sums of pruned parents.
    pub pruned: Vec<&'a Pruned>,
}

/// The versions from `head` back to the base or to a pruned one, by first parents, the newest first.
pub fn lineage<'a>(versions: &'a Versions, head: Option<&str>) -> Vec<&'a Version> {
    let mut line: Vec<&Version> = Vec::new();
    let mut next = head.and_then(|id| versions.get(id));
    while let Some(version) = next {
        line.push(version);
        // A chain cannot be longer than the set; a circle would be a forged record.
        if line.len() > versions.len() {
            break;
        }
        next = version.parent.as_ref().and_then(|id| versions.get(id));
    }
    line
}

/// When each example was last learned by the versions up to `head`, milliseconds since 1970.
pub fn learned(versions: &Versions, head: Option<&str>) -> HashMap<String, u64> {
    let mut at: HashMap<String, u64> = HashMap::new();
    let Ancestry { versions, pruned } = versions.ancestry(head);
    let here = versions.iter().flat_map(|v| v.learned.iter().map(|id| (id, v.created_ms)));
    let before = pruned.iter().flat_map(|p| p.learned.iter().map(|(id, ms)| (id, *ms)));
    for (id, ms) in here.chain(before) {
        at.entry(id.clone()).and_modify(|last| *last = ms.max(*last)).or_insert(ms);
    }
    at
}
