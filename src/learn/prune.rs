//! Pruning: what the history keeps, so that a home does not grow with every promotion.
//!
//! Kept are HEAD, its last ancestors, what tags and branches name, whatever was made since the oldest of these, and
//! adapters that a person imported. Ancestors' adapters are kept in fewer bytes, HEAD's as it is. The journal is kept whole (see `chain`). It knows no training. Invariant: records go in the write that moves HEAD, adapters after
//! it, so a crash between leaves adapters that nothing names, which the next opening deletes.

use super::keys::scores_key;
use super::learner::{LearnResult, Learner, json};
use super::names::Names;
use super::version::{Pruned, Version, Versions, lineage};
use crate::store::{Store, Table, Write};
use std::collections::{BTreeMap, BTreeSet};

pub use super::keys::ANCESTORS;

/// Ancestors that a promotion keeps in fewer bytes: the version that was HEAD, and the one before it, where a crash had left
/// that undone. So a promotion takes no longer however old a home is.
const NEAREST: usize = 2;

/// The record under `Refs/pruned`: what is known of pruned versions that kept ones descend from.
const PRUNED: &str = "pruned";

/// Takes out of `versions` what is not kept beside `head` and so many of its ancestors, and returns the writes that do the same in the store.
pub(super) fn prune(
    versions: &mut Versions,
    (head, ancestors): (&str, usize),
    names: &Names,
    examples: &BTreeSet<String>,
) -> Vec<Write> {
    let line = lineage(versions, Some(head));
    if line.len() <= ancestors.saturating_add(1) {
        return Vec::new();
    }
    let own: BTreeSet<&str> = line.iter().map(|version| version.id.as_str()).collect();
    let oldest_ms = line[ancestors].created_ms;
    let near: BTreeSet<&str> = line[..=ancestors].iter().map(|v| v.id.as_str()).collect();
    let roots: BTreeSet<&str> = names.roots().map(String::as_str).collect();
    let stays = |version: &Version| match own.contains(version.id.as_str()) {
        _ if roots.contains(version.id.as_str()) => true,
        true => near.contains(version.id.as_str()),
        // What a person imported has no parent.
        false => version.parent.is_none() || version.created_ms >= oldest_ms,
    };
    let gone: BTreeSet<String> =
        versions.values().filter(|v| !stays(v)).map(|v| v.id.clone()).collect();
    let parents = versions.values().filter(|v| stays(v)).flat_map(Version::parents);
    let parents = parents.map(str::to_string);
    let cut = |id: &String| gone.contains(id) || versions.pruned().contains_key(id);
    let counts = |id: &str| examples.contains(id);
    let pruned: BTreeMap<String, Pruned> = parents
        .filter(cut)
        .map(|id| {
            let sum = versions.sum(&id, &counts);
            (id, sum)
        })
        .collect();
    let mut writes = vec![pruned_write(&pruned)];
    for id in &gone {
        writes.push(Write::delete(Table::Versions, id));
        writes.push(Write::delete(Table::Cache, scores_key(id)));
    }
    versions.retain(|id, _| !gone.contains(id));
    versions.remember(pruned);
    writes
}

/// The write that keeps what is known of pruned versions.
pub(super) fn pruned_write(pruned: &BTreeMap<String, Pruned>) -> Write {
    Write::put(Table::Refs, PRUNED, json(pruned))
}

impl<S: Store> Learner<S> {
    /// The examples that are kept, also those that others replaced.
    pub(super) fn kept_ids(&self) -> BTreeSet<String> {
        let past = self.past.values().map(|past| &past.example.id);
        self.examples.keys().chain(past).cloned().collect()
    }

    /// Reads what is known of pruned versions.
    pub(super) async fn load_pruned(&mut self) -> LearnResult<()> {
        let Some(record) = self.store.get(Table::Refs, PRUNED).await? else { return Ok(()) };
        match serde_json::from_slice(&record) {
            Ok(pruned) => self.versions.remember(pruned),
            Err(error) => {
                let text = format!("the record of pruned versions is damaged: {error}");
                self.warnings.push(text);
            }
        }
        Ok(())
    }

    /// Deletes adapters that nothing names any more, and keeps HEAD's nearest ancestors in fewer bytes. What cannot be done
    /// now waits: for the next opening, or for the next promotion.
    pub(super) async fn sweep(&mut self) {
        if let Err(error) = self.collect_garbage().await {
            self.warnings.push(format!("an old adapter could not be deleted: {error}"));
        }
        self.compress_ancestors(NEAREST).await;
    }

    /// Keeps so many of HEAD's ancestors in fewer bytes, the nearest first.
    pub(super) async fn compress_ancestors(&mut self, most: usize) {
        let line = lineage(&self.versions, self.head.as_deref());
        let older: Vec<String> =
            line.into_iter().skip(1).take(most).flat_map(Version::blobs).collect();
        for blob in older {
            if let Err(error) = self.store.compress_blob(&blob).await {
                self.warnings.push(format!("an old adapter could not be compressed: {error}"));
                return;
            }
        }
    }
}
