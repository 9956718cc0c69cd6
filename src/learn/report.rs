//! What the learning loop tells its face: options in, events and reports out, and the journal's lines.
//!
//! Plain data with serde; it knows no progress bars and no pages. Invariant: a cycle's report has the same fields
//! whatever its verdict.

use super::gate::{GatePolicy, SuiteKind, SuiteReport, Verdict};
use super::recipe::Recipe;
use super::telling::told;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// How to run a cycle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LearnOptions {
    /// Most training steps; by default as many as the number of lessons asks for.
    pub steps_max: Option<usize>,
    /// Items a suite, for a quick look on a slow device; by default all.
    pub sample: Option<usize>,
    /// Earlier lessons that are asked, those not asked for longest first; by default all, up to 256.
    pub kept: Option<usize>,
    /// Rounds in which earlier lessons that the training cost are drilled again before the candidate is examined; without any,
    /// those that HEAD does not say any more are not drilled beside the new ones either.
    pub mending: usize,
    /// Shares of the way from HEAD to the candidate that are tried, the largest first.
    pub scales: Vec<f32>,
    /// Mean cross entropy at which documents are learned enough, nats a token; by default four fifths of the first.
    pub target_loss: Option<f32>,
    /// Most new examples taken up by one cycle; the rest waits for the next.
    pub lessons_max: usize,
    /// Whether what looks like noise or contradicts core knowledge is kept out and shown.
    pub screen: bool,
    /// The recipe.
    pub recipe: Recipe,
    /// The gate's margins.
    #[serde(deserialize_with = "margins")]
    pub policy: GatePolicy,
}

/// Reads a gate's margins; JSON has no word for a margin without end and keeps it as null.
fn margins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<GatePolicy, D::Error> {
    let mut fields = BTreeMap::<String, serde_json::Value>::deserialize(deserializer)?;
    fields.values_mut().filter(|field| field.is_null()).for_each(|field| *field = f64::MAX.into());
    let fields = serde_json::Value::Object(fields.into_iter().collect());
    serde_json::from_value(fields).map_err(serde::de::Error::custom)
}

impl Default for LearnOptions {
    fn default() -> Self {
        Self {
            steps_max: None,
            sample: None,
            kept: None,
            mending: 2,
            scales: vec![1.0, 0.9, 0.8, 0.7, 0.5],
            target_loss: None,
            lessons_max: 64,
            screen: true,
            recipe: Recipe::default(),
            policy: GatePolicy::default(),
        }
    }
}

impl LearnOptions {
    /// A quick cycle for a slow device: fewer neighbours and rewordings, 40 items a suite, 128 earlier lessons, three scales.
    pub fn quick() -> Self {
        let recipe = Recipe {
            neighbours: 4,
            near_misses: 3,
            rewordings: 3,
            samples_max: 3,
            ..Recipe::default()
        };
        let scales = vec![1.0, 0.8, 0.6];
        Self { sample: Some(40), kept: Some(128), scales, recipe, ..Self::default() }
    }
}

/// Where a cycle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Examples are looked at, neighbours and rewordings made, HEAD examined.
    Prepare,
    /// The candidate is trained.
    Train,
    /// The candidate is examined.
    Evaluate,
    /// The decision is written.
    Commit,
}

/// What happens during a cycle; `type` names the case in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A phase begins, or gets on.
    Phase {
        /// The phase.
        phase: Phase,
        /// Parts done, where they are counted.
        #[serde(skip_serializing_if = "Option::is_none")]
        done: Option<usize>,
        /// Parts in all.
        #[serde(skip_serializing_if = "Option::is_none")]
        total: Option<usize>,
        /// What is being done, for a person.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// A training step is done.
    Step {
        /// Steps done.
        step: usize,
        /// Most steps.
        steps_max: usize,
        /// Mean cross entropy of what is taught, nats a token.
        loss: f32,
        /// Mean KL to the base of what is protected, nats a token.
        kl: f32,
        /// Gradient norm before clipping.
        grad_norm: f32,
        /// Lessons that the free-running answers said when last looked at.
        learned: usize,
        /// Lessons in all.
        total: usize,
        /// Until `steps_max`, at the pace so far.
        seconds_left: f64,
    },
    /// The run goes on where an interrupted one was.
    Resumed {
        /// Steps done before.
        step: usize,
        /// Most steps.
        steps_max: usize,
    },
    /// The run up to here outlives its process.
    Kept {
        /// Steps done.
        step: usize,
    },
    /// Items of a suite are scored.
    Suite {
        /// The suite.
        suite: SuiteKind,
        /// The share of the way to the candidate that is examined; 0 is HEAD.
        scale: f32,
        /// Items done.
        done: usize,
        /// Items in all.
        total: usize,
    },
    /// Something that a person should know.
    Warning {
        /// The sentence.
        message: String,
    },
    /// The gate has decided.
    Verdict {
        /// The word.
        verdict: Verdict,
        /// The reason.
        reason: String,
        /// HEAD after the cycle.
        version: Option<String>,
        /// The share of the way to the candidate that it was decided on.
        scale: f32,
    },
}

impl Event {
    /// The beginning of a phase.
    pub fn phase(phase: Phase, detail: &str) -> Self {
        Event::Phase { phase, done: None, total: None, detail: Some(detail.into()) }
    }
}

/// A cycle's report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CycleReport {
    /// The gate's word.
    pub verdict: Verdict,
    /// One sentence for a person.
    pub reason: String,
    /// HEAD after the cycle: the new version if promoted, else the one before; none is the base model.
    pub version: Option<String>,
    /// Each suite under HEAD and the candidate.
    pub suites: BTreeMap<SuiteKind, SuiteReport>,
    /// Cross entropy of the first step, nats a token.
    pub loss_first: f32,
    /// Cross entropy of the last step.
    pub loss_last: f32,
    /// The cycle's duration.
    pub seconds: f64,
    /// The share of the way from HEAD to the candidate that was decided on.
    pub scale: f32,
    /// Examples that the decided candidate says (documents count when promoted).
    pub learned: usize,
    /// Examples that the cycle taught.
    pub taught: usize,
    /// What a person should see: own lessons that overturn what the model was sure of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl CycleReport {
    /// The report in sentences: how each suite moved, and why the candidate was held back or rejected, where it was.
    pub fn told(&self) -> String {
        let stopped = match self.verdict {
            Verdict::Promote => None,
            Verdict::Hold => Some(("held back", self.reason.as_str())),
            Verdict::Reject => Some(("rejected", self.reason.as_str())),
        };
        told(&self.suites, stopped)
    }

    /// The report as the journal keeps it: notes quote examples, and the journal must not.
    pub fn without_words(&self) -> Self {
        CycleReport { notes: Vec::new(), ..self.clone() }
    }
}

/// What `teach` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeachReport {
    /// New examples.
    pub added: usize,
    /// Examples that were there already.
    pub duplicates: usize,
    /// Earlier examples whose prompt now has another answer, or that had to give place.
    pub replaced: usize,
    /// Examples in the buffer.
    pub total: usize,
}

/// What deleting an example did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteReport {
    /// Versions that had seen it and are gone with it.
    pub versions: Vec<String>,
    /// HEAD now; none is the base model.
    pub head: Option<String>,
    /// Whether HEAD moved: the caller then puts `head_adapter` in place.
    pub head_moved: bool,
}

/// What a journal line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A cycle ended with the gate's word.
    Cycle,
    /// A cycle was stopped by the user.
    Stopped,
    /// A cycle ended with an error.
    Failed,
    /// HEAD was put back.
    Rollback,
    /// An example was deleted.
    Delete,
    /// HEAD was damaged and an ancestor took its place.
    Fallback,
    /// A version got a name that stays, or lost it.
    Tag,
    /// A version got a name that moves with what is learned, or lost it.
    Branch,
    /// Another version or branch became HEAD.
    Checkout,
    /// Two versions were merged, or the gate refused it.
    Merge,
    /// An example was forgotten, and what had learned from it was rebuilt without it.
    Forget,
    /// An adapter from outside became a version.
    Import,
    /// A person said that an example in quarantine is fine.
    Release,
    /// A person took an example out of what is trained.
    SetAside,
}

/// What a cycle depended on besides the examples: with it, the cycle can be repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CycleInputs {
    /// The learner's seed.
    pub seed: u64,
    /// Hash under which its options are kept.
    pub options: String,
    /// Hash of the suites that the gate saw.
    pub suites: String,
}

/// A journal line. It holds no word of any example: forgetting leaves the journal as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// The chain of hashes over all lines before (`learn::chain`); older programs stated none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Its number, from 1.
    pub number: u64,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// What.
    pub action: Action,
    /// HEAD before; none is the base model.
    pub from: Option<String>,
    /// HEAD after.
    pub to: Option<String>,
    /// One sentence for a person.
    pub note: String,
    /// A cycle's report.
    pub report: Option<CycleReport>,
    /// sha256 of the adapter that answers after it; none is the base model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// The examples that it is about, by their hashes: what a cycle taught, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
    /// What a cycle depended on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycle: Option<CycleInputs>,
    /// What became of versions that an example was taken out of.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub renamed: BTreeMap<String, Option<String>>,
}
