//! Versions: an adapter with its parent, its base model, what it learned, and its report; and what is left of pruned ones.
//!
//! It knows no store. Invariants: a version is immutable; its id is the hash of its record, so a damaged record is
//! noticed as a damaged adapter is. What HEAD has learned does not depend on how much of its line was pruned.

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
    /// Its report when it was promoted.
    pub suites: BTreeMap<SuiteKind, SuiteReport>,
    /// Whether it answers only near what it learned; elsewhere the base model does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scoped: bool,
    /// The share of the way from its parent to the trained candidate.
    pub scale: f32,
    /// Core answers lost and won since the base model.
    pub drift: EProcess,
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

/// What is known of a pruned version that a kept one descends from: the sum of its line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// When each example was last learned in the line, milliseconds since 1970.
    pub learned: BTreeMap<String, u64>,
    /// Examples that the line was trained on.
    pub saw: BTreeSet<String>,
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

    /// The sum of the line that ends in a version, of the examples that `counts`.
    pub fn sum(&self, id: &str, counts: &dyn Fn(&str) -> bool) -> Pruned {
        let learned = learned(self, Some(id)).into_iter().filter(|(id, _)| counts(id)).collect();
        let saw = self.saw(id).into_iter().filter(|id| counts(id)).map(str::to_string).collect();
        Pruned { learned, saw }
    }

    /// The examples that the line of a version was trained on.
    pub fn saw(&self, id: &str) -> BTreeSet<&str> {
        let line = lineage(self, Some(id));
        let before = self.before(id, &line).into_iter().flat_map(|pruned| &pruned.saw);
        line.into_iter().flat_map(|v| &v.examples).chain(before).map(String::as_str).collect()
    }

    /// What was pruned before the first version of a line that ends in `id`.
    fn before(&self, id: &str, line: &[&Version]) -> Option<&Pruned> {
        match line.last() {
            Some(first) => self.pruned.get(first.parent.as_ref()?),
            None => self.pruned.get(id),
        }
    }
}

/// The versions from `head` back to the base or to a pruned one, the newest first.
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
    let mut at = HashMap::new();
    let Some(head) = head else { return at };
    let line = lineage(versions, Some(head));
    for version in &line {
        for id in &version.learned {
            at.entry(id.clone()).or_insert(version.created_ms);
        }
    }
    for (id, earlier) in versions.before(head, &line).into_iter().flat_map(|p| &p.learned) {
        at.entry(id.clone()).or_insert(*earlier);
    }
    at
}
