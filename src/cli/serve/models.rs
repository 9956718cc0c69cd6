//! Versions as models: the names that a client may ask, and what each means.
//!
//! It knows no HTTP and no engine. Invariant: every name that is listed can be asked, and answers as what is listed beside it.

use super::refusal::Refusal;
use crate::learn::learner::Learner;
use crate::learn::names::BASE;
use crate::store::Store;
use serde_json::{Value, json};

/// The name of HEAD, whatever it is at the time.
const NEWEST: &str = "apprentice";

/// The base model, for the list.
#[derive(Debug, Clone)]
pub struct Base {
    /// Its name in its file.
    pub name: String,
    /// sha256 of its file, hex.
    pub hash: String,
    /// When its file was written, seconds since 1970.
    pub created_s: u64,
}

/// What a name means: a version, or (none) the base model.
pub fn meaning<S: Store>(learner: &Learner<S>, name: &str) -> Result<Option<String>, Refusal> {
    match name {
        NEWEST => Ok(learner.head().map(|head| head.id.clone())),
        _ => Ok(learner.resolve(name)?),
    }
}

/// A name in OpenAI's shape.
pub fn entry<S: Store>(learner: &Learner<S>, base: &Base, name: &str) -> Result<Value, Refusal> {
    let meant = meaning(learner, name)?;
    let version = learner.versions().into_iter().find(|v| Some(&v.id) == meant.as_ref());
    let (owner, created) = match version {
        Some(version) => (NEWEST, version.created_ms / 1000),
        None => (base.name.as_str(), base.created_s),
    };
    let version = meant.as_deref().unwrap_or(BASE);
    Ok(json!({
        "id": name, "object": "model", "created": created, "owned_by": owner, "version": version,
    }))
}

/// Every name: HEAD, the base model, tags and branches, and the versions, the newest first.
pub fn list<S: Store>(learner: &Learner<S>, base: &Base) -> Result<Value, Refusal> {
    let versions = learner.versions().into_iter().rev();
    let versions = versions.filter(|version| version.base_hash == base.hash);
    let ids: Vec<String> = versions.map(|version| version.id.clone()).collect();
    let names = learner.names();
    let named = names.tags.iter().chain(&names.branches);
    // A name of the user's own that is taken here, or that means another base model's version, cannot be asked.
    let named = named.filter(|(name, to)| {
        name.as_str() != NEWEST && to.as_ref().is_none_or(|to| ids.contains(to))
    });
    let mut all: Vec<String> = vec![NEWEST.into(), BASE.into()];
    all.extend(named.map(|(name, _)| name.clone()));
    all.extend(ids.iter().cloned());
    let data: Result<Vec<Value>, Refusal> =
        all.iter().map(|name| entry(learner, base, name)).collect();
    Ok(json!({ "object": "list", "data": data? }))
}
