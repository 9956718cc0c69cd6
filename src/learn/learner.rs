//! The learner: the user's examples, the versions and HEAD, over one store.
//!
//! It knows no clock (one comes in) and no device. What moves HEAD is in `history`, the cycle in `cycle`.
//! Invariant: what is in memory is what the store holds; memory changes only after a write succeeded.

use super::chain::Chain;
use super::example::{Example, ExampleError, Past};
use super::keys::{ANCESTORS, drill_key};
use super::names::Names;
use super::position::{Checkpoint, Pace};
use super::report::JournalEntry;
use super::student::StudentError;
use super::suite::Suites;
use super::version::{Version, Versions, learned};
use crate::model::adapter::{Adapter, AdapterError};
use crate::store::{Store, StoreError, Table, Write};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};

/// Milliseconds since 1970.
pub type Clock = Box<dyn Fn() -> u64>;

/// Why the learning loop could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LearnError {
    /// Everything taught is learned already.
    #[error("nothing new to learn; teach something first")]
    NothingToLearn,
    /// No such version.
    #[error("no version `{0}`; `log` lists them")]
    NoVersion(String),
    /// The beginning of several ids.
    #[error("`{0}` begins the ids of several versions; give more of it")]
    Ambiguous(String),
    /// Two versions that cannot be merged.
    #[error("cannot merge: {0}")]
    Unmergeable(String),
    /// An adapter from outside that the gate has not let in.
    #[error(
        "version {version} comes from outside ({origin}); `adopt {version}` examines it and takes it in"
    )]
    Foreign {
        /// The version.
        version: String,
        /// Where it came from.
        origin: String,
    },
    /// An adapter from outside that cannot be kept.
    #[error("cannot import {0}")]
    Import(String),
    /// An item that cannot be bisected.
    #[error("{0}")]
    Item(String),
    /// A name that a version cannot have, or that is taken.
    #[error("{0}")]
    Name(String),
    /// No such example.
    #[error("no example `{0}`")]
    NoExample(String),
    /// Anchors are never evicted, so they may not fill the buffer.
    #[error("more than {0} anchors; delete some, or teach the rest as another kind")]
    Anchors(usize),
    /// No such suite.
    #[error("no suite `{0}`")]
    NoSuite(String),
    /// HEAD is the base model.
    #[error("nothing to roll back: the base model answers")]
    AtBase,
    /// HEAD was trained on another base model.
    #[error("HEAD {version} belongs to another base model; open that model or use another home")]
    OtherBase {
        /// HEAD.
        version: String,
    },
    /// The training ran into numbers that are none.
    #[error("the loss at step {step} is {loss}; the candidate was dropped")]
    Diverged {
        /// The step.
        step: usize,
        /// The loss.
        loss: f32,
    },
    /// An example cannot be taught.
    #[error(transparent)]
    Example(#[from] ExampleError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The model failed, or the user stopped it.
    #[error(transparent)]
    Student(#[from] StudentError),
    /// An adapter's bytes cannot be read.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
}

/// The learning loop's result.
pub type LearnResult<T> = Result<T, LearnError>;

/// Why an example is kept out of training.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// One sentence for a person.
    pub reason: String,
    /// A person said that it is fine.
    pub released: bool,
    /// The journal's last line when it was set aside.
    #[serde(default)]
    pub since: u64,
    /// The journal's last line when it was released.
    #[serde(default)]
    pub released_since: u64,
}

impl Quarantined {
    /// The reason of what a person took out.
    pub(super) const BY_HAND: &str = "you set it aside";

    /// Kept out for a reason, and not released.
    pub fn new(reason: String) -> Self {
        Self { reason, released: false, since: 0, released_since: 0 }
    }
}

/// The learner; see the module.
pub struct Learner<S: Store> {
    pub(super) store: S,
    pub(super) clock: Clock,
    pub(super) seed: u64,
    pub(super) suites: Suites,
    pub(super) examples: BTreeMap<String, Example>,
    /// Examples that others replaced, by their keys.
    pub(super) past: BTreeMap<String, Past>,
    pub(super) quarantine: BTreeMap<String, Quarantined>,
    pub(super) versions: Versions,
    pub(super) head: Option<String>,
    pub(super) names: Names,
    pub(super) journal: Vec<JournalEntry>,
    pub(super) chain: Chain,
    /// Ancestors of HEAD that pruning keeps.
    pub(super) ancestors: usize,
    pub(super) pace: Pace,
    /// Where a run that has not ended was last.
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) warnings: Vec<String>,
}

impl<S: Store> Learner<S> {
    /// Opens what the store holds. A damaged HEAD gives way to its newest intact ancestor, with a warning.
    pub async fn open(store: S, clock: Clock, seed: u64) -> LearnResult<Self> {
        let mut learner = Self {
            store,
            clock,
            seed,
            suites: Suites::built_in(),
            examples: BTreeMap::new(),
            past: BTreeMap::new(),
            quarantine: BTreeMap::new(),
            versions: Versions::default(),
            head: None,
            names: Names::default(),
            journal: Vec::new(),
            chain: Chain::default(),
            ancestors: ANCESTORS,
            pace: Pace::default(),
            checkpoint: None,
            warnings: Vec::new(),
        };
        learner.reload().await?;
        Ok(learner)
    }

    /// Makes memory what the store holds.
    pub(super) async fn reload(&mut self) -> LearnResult<()> {
        self.load_examples().await?;
        self.quarantine = self.load(Table::Quarantine).await?;
        self.load_versions().await?;
        self.load_pruned().await?;
        self.load_journal().await?;
        self.load_names().await?;
        self.recover_head().await?;
        self.checkpoint = self.kept_checkpoint().await?;
        self.collect_garbage().await
    }

    /// With other suites than the built-in ones.
    pub fn with_suites(mut self, suites: Suites) -> Self {
        self.suites = suites;
        self
    }

    /// The suites of the gate.
    pub fn suites(&self) -> &Suites {
        &self.suites
    }

    /// All examples, the oldest first.
    pub fn examples(&self) -> Vec<&Example> {
        let mut all: Vec<&Example> = self.examples.values().collect();
        all.sort_by(|a, b| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
        all
    }

    /// The examples that HEAD has not learned and that are not in quarantine, the oldest first.
    pub fn pending(&self) -> Vec<&Example> {
        let waiting: HashSet<String> = self.waiting(&self.examples).into_iter().collect();
        let is_pending = |e: &&Example| waiting.contains(&e.id) && self.is_free(&e.id);
        self.examples().into_iter().filter(is_pending).collect()
    }

    /// Whether an example is not in quarantine, or a person took it out.
    pub(super) fn is_free(&self, id: &str) -> bool {
        self.quarantine.get(id).is_none_or(|held| held.released)
    }

    /// Examples that are kept out of training, with the reasons.
    pub fn quarantined(&self) -> Vec<(&Example, &Quarantined)> {
        let held = self.quarantine.iter().filter(|(_, q)| !q.released);
        held.filter_map(|(id, q)| Some((self.examples.get(id)?, q))).collect()
    }

    /// What happened, the oldest first.
    pub fn log(&self) -> &[JournalEntry] {
        &self.journal
    }

    /// What a person should know since the store was opened.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The version that answers; none is the base model.
    pub fn head(&self) -> Option<&Version> {
        self.head.as_ref().and_then(|id| self.versions.get(id))
    }

    /// All versions, the oldest first.
    pub fn versions(&self) -> Vec<&Version> {
        let mut all: Vec<&Version> = self.versions.values().collect();
        all.sort_by(|a, b| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
        all
    }

    /// Versions on the longest way from the base model to a version.
    pub fn depth(&self, id: &str) -> u64 {
        self.versions.depth(Some(id))
    }

    /// HEAD's adapter; none is the base model.
    pub async fn head_adapter(&self) -> LearnResult<Option<Adapter>> {
        match self.head() {
            Some(version) => Ok(Some(self.adapter_of(version).await?)),
            None => Ok(None),
        }
    }

    /// A version's adapter.
    pub async fn adapter_of(&self, version: &Version) -> LearnResult<Adapter> {
        let bytes = self.store.get_blob(&version.adapter).await?;
        let bytes = bytes.ok_or_else(|| StoreError::Damaged { hash: version.adapter.clone() })?;
        Ok(Adapter::from_bytes(&bytes)?)
    }

    /// Ids of examples that HEAD has not learned, or that were taught again since.
    pub(super) fn waiting(&self, examples: &BTreeMap<String, Example>) -> Vec<String> {
        let learned = learned(&self.versions, self.head.as_deref());
        let waits = |e: &&Example| learned.get(&e.id).is_none_or(|at| *at < e.created_ms);
        examples.values().filter(waits).map(|e| e.id.clone()).collect()
    }

    /// Makes the buffer what is given, in one write, and keeps what was replaced.
    pub(super) async fn write_examples(
        &mut self,
        examples: BTreeMap<String, Example>,
        past: Vec<Past>,
    ) -> LearnResult<()> {
        let mut writes: Vec<Write> =
            past.iter().map(|past| Write::put(Table::Examples, past.key(), json(past))).collect();
        for id in self.examples.keys().filter(|id| !examples.contains_key(*id)) {
            writes.push(Write::delete(Table::Examples, id));
            writes.push(Write::delete(Table::Cache, drill_key(id)));
            writes.push(Write::delete(Table::Quarantine, id));
        }
        writes.extend(self.changed(&examples));
        if !writes.is_empty() {
            self.store.apply(&writes).await?;
        }
        self.quarantine.retain(|id, _| examples.contains_key(id));
        self.examples = examples;
        self.past.extend(past.into_iter().map(|past| (past.key(), past)));
        Ok(())
    }

    /// The writes that make the stored examples these, where they differ.
    pub(super) fn changed(&self, examples: &BTreeMap<String, Example>) -> Vec<Write> {
        let differs = |(id, example): &(&String, &Example)| self.examples.get(*id) != Some(example);
        let changed = examples.iter().filter(differs);
        changed.map(|(id, example)| Write::put(Table::Examples, id, json(example))).collect()
    }

    /// The examples, and apart from them those that others replaced.
    async fn load_examples(&mut self) -> LearnResult<()> {
        let (mut examples, mut past) = (BTreeMap::new(), BTreeMap::new());
        for (key, value) in self.store.list(Table::Examples).await? {
            let is_past = key.starts_with(Past::KEYS);
            let replaced = is_past.then(|| serde_json::from_slice::<Past>(&value).ok()).flatten();
            let current = serde_json::from_slice::<Example>(&value).ok().filter(|e| e.id == key);
            match (replaced, current) {
                (Some(old), _) if old.example.is_intact() => drop(past.insert(key, old)),
                (None, Some(example)) if example.is_intact() => drop(examples.insert(key, example)),
                _ => self.warnings.push(format!("record {key} of examples is damaged")),
            }
        }
        (self.examples, self.past) = (examples, past);
        Ok(())
    }

    /// The versions whose records hash to their ids.
    pub(super) async fn load_versions(&mut self) -> LearnResult<()> {
        self.versions = Versions::default();
        for (id, record) in self.store.list(Table::Versions).await? {
            match Version::from_record(&id, &record) {
                Some(version) => {
                    self.versions.insert(id, version);
                }
                None => self.warnings.push(format!("the record of version {id} is damaged")),
            }
        }
        Ok(())
    }

    /// A table's records; those that cannot be read are left out with a warning.
    pub(super) async fn load<T: serde::de::DeserializeOwned>(
        &mut self,
        table: Table,
    ) -> LearnResult<BTreeMap<String, T>> {
        let mut records = BTreeMap::new();
        for (key, value) in self.store.list(table).await? {
            match serde_json::from_slice(&value) {
                Ok(record) => {
                    records.insert(key, record);
                }
                Err(error) => {
                    let table = table.name();
                    self.warnings.push(format!("record {key} of {table} is damaged: {error}"));
                }
            }
        }
        Ok(records)
    }
}

/// A record's bytes.
pub(super) fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("records are plain JSON")
}
