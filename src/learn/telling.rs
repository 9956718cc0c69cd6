//! The gate's findings in words, for a person who knows no statistics: counts first, and how often chance alone does as much.
//!
//! It decides nothing. Invariant: a sentence names only what was measured, and "unchanged" means that no item moved.

use super::kinds::{SuiteKind, SuiteReport};
use super::stats::EProcess;
use std::collections::BTreeMap;

/// What a suite is called in a sentence.
pub fn called(kind: SuiteKind) -> &'static str {
    match kind {
        SuiteKind::Taught => "taught answers",
        SuiteKind::Rephrased => "taught answers in other words",
        SuiteKind::Documents => "taught text",
        SuiteKind::Kept => "earlier lessons",
        SuiteKind::KeptDocuments => "earlier documents",
        SuiteKind::Core => "core knowledge",
        SuiteKind::Language => "neutral text",
        SuiteKind::Refusals => "refusals",
        SuiteKind::Everyday => "everyday answers",
        SuiteKind::Variety => "variety of everyday answers",
    }
}

/// What was lost of `n` items, and how often chance alone does as much.
pub fn fell(kind: SuiteKind, (lost, won): (usize, usize), n: usize, p: f64) -> String {
    let net = lost.saturating_sub(won);
    format!("{} fell by {net} of {n} (lost {lost}, won {won}), {}", called(kind), chance(p))
}

/// What many cycles have cost together.
pub fn drifted(kind: SuiteKind, sum: EProcess) -> String {
    let EProcess { losses, gains } = sum;
    // An e-value's inverse bounds the chance of ever seeing as much.
    let chance = chance(1.0 / sum.e_value());
    format!("{} drifted down over the cycles (lost {losses}, won {gains}), {chance}", called(kind))
}

/// How often chance alone would show as much.
fn chance(p: f64) -> String {
    // Just above the number that was meant: sums of logarithms fall short of it.
    let once_in = (1.0 / p.max(1e-9) + 1e-6).floor();
    match once_in {
        n if n >= 1000.0 => "which chance explains less than once in 1000".into(),
        n if n >= 3.0 => format!("which chance explains once in {n:.0}"),
        _ => "which chance may explain".into(),
    }
}

/// What a promoted candidate does: what it learned, then what it kept.
pub fn praise(suites: &BTreeMap<SuiteKind, SuiteReport>) -> String {
    moved(suites).join("; ")
}

/// The whole report in sentences: how each suite moved, and why the candidate was stopped, where it was (a word for that,
/// and the reasons).
pub fn told(suites: &BTreeMap<SuiteKind, SuiteReport>, stopped: Option<(&str, &str)>) -> String {
    let stopped = stopped.map(|(word, reason)| format!("{word}: {reason}"));
    let sentence = |part: String| {
        let mut letters = part.chars();
        let first = letters.next().map(|letter| letter.to_uppercase().to_string());
        format!("{}{}.", first.unwrap_or_default(), letters.as_str())
    };
    let sentences = moved(suites).into_iter().chain(stopped).map(sentence);
    sentences.collect::<Vec<_>>().join(" ")
}

/// How each suite moved.
fn moved(suites: &BTreeMap<SuiteKind, SuiteReport>) -> Vec<String> {
    let parts = suites.iter().map(|(kind, suite)| match kind {
        SuiteKind::Taught => format!("learned {} of {}", count(suite.after, suite), suite.n),
        SuiteKind::Documents
        | SuiteKind::KeptDocuments
        | SuiteKind::Language
        | SuiteKind::Variety => losses(*kind, suite),
        _ => counts(*kind, suite),
    });
    parts.collect()
}

fn count(share: f64, suite: &SuiteReport) -> usize {
    (share * suite.n as f64).round() as usize
}

fn counts(kind: SuiteKind, suite: &SuiteReport) -> String {
    let (before, after) = (count(suite.before, suite), count(suite.after, suite));
    let (name, n) = (called(kind), suite.n);
    match before == after {
        true => format!("{name} unchanged ({after} of {n})"),
        false => format!("{name} {after} of {n} (was {before})"),
    }
}

fn losses(kind: SuiteKind, suite: &SuiteReport) -> String {
    let SuiteReport { before, after, .. } = suite;
    let name = called(kind);
    match before == after {
        true => format!("{name} unchanged ({after:.2} nats a token)"),
        false => format!("{name} {after:.3} nats a token (was {before:.3})"),
    }
}
