//! Versions: an adapter with its parent, its base model, what it learned, and its report.
//!
//! It knows no store. Invariant: a version is immutable; its id is the hash of its record, so a damaged record is
//! noticed as a damaged adapter is.

use super::gate::{SuiteKind, SuiteReport};
use super::stats::EProcess;
use crate::store::sha256_hex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

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

/// All versions by id.
pub type Versions = BTreeMap<String, Version>;

/// The versions from `head` back to the base, the newest first.
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
    for version in lineage(versions, head) {
        for id in &version.learned {
            at.entry(id.clone()).or_insert(version.created_ms);
        }
    }
    at
}
