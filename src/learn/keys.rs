//! The keys under which the learning loop keeps its records, and how many of them.
//!
//! It knows no values. Invariant: no two kinds of records share a key.

/// Ancestors of HEAD that are kept: with it, the last twenty versions.
pub const ANCESTORS: usize = 19;

/// The cache's key of a version's scores.
pub(super) fn scores_key(version: &str) -> String {
    format!("scores/{version}")
}

/// The cache's key of an example's drill.
pub(super) fn drill_key(example: &str) -> String {
    format!("drill/{example}")
}

/// The key under which a base model's own results are kept.
pub(super) fn base_key(base_hash: &str) -> String {
    format!("base-{}", base_hash.chars().take(16).collect::<String>())
}

/// The cache's key of a base model's own answers to the everyday prompts of an examination.
pub(super) fn everyday_key(base_hash: &str) -> String {
    format!("everyday/{}", base_key(base_hash))
}

/// The key under `Refs` of where a training run was last.
pub(super) const CHECKPOINT: &str = "checkpoint";

/// The key under `Refs` of how far forgetting has come.
pub(super) const STAGE: &str = "forgetting";
