//! What the page gets, in the page's shapes.
//!
//! It knows no JavaScript: serde writes these. Invariant: the fields are those of
//! `www/src/engine/contract.ts`.

use super::state::State;
use crate::format::message::Message;
use crate::learn::checkpoint::Interrupted;
use crate::learn::example::{Content, Example, Kind};
use crate::learn::gate::{SuiteKind, SuiteReport};
use crate::learn::version::Version;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};

/// How far loading has come, in bytes.
#[derive(Serialize)]
pub struct Progress {
    /// What is done.
    pub phase: &'static str,
    /// Bytes done.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// What runs, and where.
#[derive(Serialize)]
pub struct Info {
    model: String,
    model_hash: String,
    parameters: u64,
    device: &'static str,
    adapter: String,
    tier: &'static str,
    reason: String,
    head: Option<String>,
    context: usize,
    /// The run that the next cycle goes on with, if its options are the same.
    interrupted: Option<Interrupted>,
    warnings: Vec<String>,
}

/// One version of the history.
#[derive(Serialize)]
pub struct VersionEntry {
    id: String,
    parent: Option<String>,
    created_ms: u64,
    head: bool,
    note: String,
    examples: Vec<String>,
    suites: BTreeMap<SuiteKind, SuiteReport>,
    scale: f32,
    /// Names that a person gave it.
    tags: Vec<String>,
    /// Where it came from, if it was not learned here.
    origin: Option<String>,
}

/// One stored example.
#[derive(Serialize)]
pub struct ExampleEntry {
    id: String,
    kind: Kind,
    prompt: String,
    answer: String,
    text: String,
    /// The whole conversation; empty where it is a text.
    messages: Vec<Message>,
    /// The answer that was corrected.
    rejected: Option<String>,
    source: String,
    created_ms: u64,
    uses: u32,
    learned: bool,
    set_aside: Option<String>,
}

/// HEAD after a move.
#[derive(Serialize)]
pub struct Head {
    /// The version; none is the base model.
    pub head: Option<String>,
}

/// What runs now.
pub fn info(state: &State) -> Info {
    let model = &state.engine.model;
    Info {
        model: state.name.clone(),
        model_hash: model.base_hash.clone(),
        parameters: model.parameters(),
        device: model.device.kind(),
        adapter: model.device.adapter_name(),
        tier: model.device.tier().map_or("", |tier| tier.name()),
        reason: state.reason.clone(),
        head: state.head().map(|version| version.id.clone()),
        context: model.context(),
        interrupted: state.learner.interrupted(),
        warnings: state.warnings.clone(),
    }
}

/// The history, the newest version first.
pub fn versions(state: &State) -> Vec<VersionEntry> {
    let head = state.head().map(|version| version.id.clone());
    let tags = &state.learner.names().tags;
    let tags_of = |id: &String| {
        let means = |to: &Option<String>| to.as_ref() == Some(id);
        tags.iter().filter(|(_, to)| means(to)).map(|(name, _)| name.clone()).collect()
    };
    let entry = |version: &Version| VersionEntry {
        id: version.id.clone(),
        parent: version.parent.clone(),
        created_ms: version.created_ms,
        head: head.as_ref() == Some(&version.id),
        note: version.note.clone(),
        examples: version.examples.clone(),
        suites: version.suites.clone(),
        scale: version.scale,
        tags: tags_of(&version.id),
        origin: version.origin.clone(),
    };
    state.learner.versions().into_iter().rev().map(entry).collect()
}

/// The examples, the oldest first.
pub fn examples(state: &State) -> Vec<ExampleEntry> {
    let learner = &state.learner;
    let held = learner.quarantined();
    let set_aside: HashMap<&str, &str> =
        held.iter().map(|(example, held)| (example.id.as_str(), held.reason.as_str())).collect();
    let pending: HashSet<&str> = learner.pending().iter().map(|e| e.id.as_str()).collect();
    let entry = |example: &Example| {
        let (prompt, answer) = example.content.question_answer().unwrap_or_default();
        let (text, messages) = match &example.content {
            Content::Text(text) => (text.clone(), Vec::new()),
            Content::Chat(messages) => (String::new(), messages.clone()),
        };
        let reason = set_aside.get(example.id.as_str());
        ExampleEntry {
            id: example.id.clone(),
            kind: example.kind,
            prompt: prompt.into(),
            answer: answer.into(),
            text,
            messages,
            rejected: example.rejected.clone(),
            source: example.source.clone(),
            created_ms: example.created_ms,
            uses: example.uses,
            learned: reason.is_none() && !pending.contains(example.id.as_str()),
            set_aside: reason.map(|reason| reason.to_string()),
        }
    };
    learner.examples().into_iter().map(entry).collect()
}
