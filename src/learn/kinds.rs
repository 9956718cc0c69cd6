//! The suites by name, and one line of a report on each.
//!
//! They are what the gate decides on, what versions record and what faces show. Invariant: names in JSON stay as they
//! are, since records of old versions hold them.

use serde::{Deserialize, Serialize};

/// The suites that a gate looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuiteKind {
    /// The examples that this cycle teaches.
    Taught,
    /// Their rephrasings, never trained on.
    Rephrased,
    /// The documents that this cycle teaches.
    Documents,
    /// Every example learned earlier.
    Kept,
    /// Documents learned earlier.
    KeptDocuments,
    /// Core knowledge.
    Core,
    /// Neutral text.
    Language,
    /// What is to be refused, and what is not.
    Refusals,
    /// Everyday prompts.
    Everyday,
    /// How much there is to choose from in answers to them.
    Variety,
}

impl SuiteKind {
    /// Every suite, in the order of evaluation.
    pub const ALL: [SuiteKind; 10] = [
        SuiteKind::Taught,
        SuiteKind::Documents,
        SuiteKind::Kept,
        SuiteKind::KeptDocuments,
        SuiteKind::Rephrased,
        SuiteKind::Refusals,
        SuiteKind::Everyday,
        SuiteKind::Variety,
        SuiteKind::Language,
        SuiteKind::Core,
    ];

    /// The suite's name in reports.
    pub fn name(self) -> &'static str {
        match self {
            SuiteKind::Taught => "taught",
            SuiteKind::Rephrased => "rephrased",
            SuiteKind::Documents => "documents",
            SuiteKind::Kept => "kept",
            SuiteKind::KeptDocuments => "kept_documents",
            SuiteKind::Core => "core",
            SuiteKind::Language => "language",
            SuiteKind::Refusals => "refusals",
            SuiteKind::Everyday => "everyday",
            SuiteKind::Variety => "variety",
        }
    }

    /// The suite of a name.
    pub fn named(name: &str) -> Option<SuiteKind> {
        SuiteKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A suite's line in a report.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SuiteReport {
    /// Share right, or mean loss where nothing is right or wrong, under HEAD.
    pub before: f64,
    /// The same under the candidate.
    pub after: f64,
    /// Items.
    pub n: usize,
    /// One-sided p: for the taught suites of no gain, for the others of no loss. Small means proven.
    pub p: f64,
}
