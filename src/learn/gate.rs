//! The gate: from paired evaluation results of HEAD and a candidate to promote, hold or reject.
//!
//! A pure function. It knows no model, no suite's content and no store. Invariant: what was proven to be worse is
//! rejected, what could not be decided is held, and only what is neither is promoted.
//!
//! What the user taught is not a sample of anything: all of it is measured, so counting suffices there. The other
//! suites are samples of what could be lost, and get the paired tests.

use super::drift::Drift;
pub use super::kinds::{SuiteKind, SuiteReport};
pub use super::policy::GatePolicy;
use super::stats::{Interval, mcnemar, paired_t};
use super::telling::{called, drifted, fell, praise};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One item's result.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Whether the item was answered right, where that is defined.
    pub correct: Option<bool>,
    /// A loss, lower is better: nats a token of a text, or the negated margin of a choice.
    pub loss: f64,
}

/// One item under HEAD and under the candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Under HEAD.
    pub before: Score,
    /// Under the candidate.
    pub after: Score,
}

/// What the gate decides on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// Pairs by suite; a suite without items is left out.
    pub suites: BTreeMap<SuiteKind, Vec<Pair>>,
    /// Pairs of the base model and the candidate, for what nobody taught: what many small steps have cost together.
    pub since_base: BTreeMap<SuiteKind, Vec<Pair>>,
    /// Answers lost and won by the versions up to HEAD.
    pub drift: Drift,
}

impl Evidence {
    /// Answers lost and won since the base model, if the candidate becomes HEAD.
    pub fn drift_after(&self) -> Drift {
        self.suites.iter().fold(self.drift.clone(), |drift, (kind, pairs)| {
            let (losses, gains) = changes(pairs);
            drift.with(*kind, losses, gains)
        })
    }
}

/// The gate's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Becomes HEAD.
    #[serde(rename = "promoted")]
    Promote,
    /// Undecided: not served.
    #[serde(rename = "held")]
    Hold,
    /// Proven to be worse.
    #[serde(rename = "rejected")]
    Reject,
}

/// A decision with its reasons.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The word.
    pub verdict: Verdict,
    /// One sentence for a person.
    pub reason: String,
    /// Each suite's line.
    pub suites: BTreeMap<SuiteKind, SuiteReport>,
}

/// What one suite says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Nothing against the candidate.
    Pass,
    /// Not enough to promote.
    Undecided(String),
    /// Proven to be worse.
    Regressed(String),
}

/// Decides.
pub fn decide(evidence: &Evidence, policy: &GatePolicy) -> Decision {
    let suites = evidence.suites.iter().map(|(kind, pairs)| (*kind, report(*kind, pairs)));
    let suites: BTreeMap<SuiteKind, SuiteReport> = suites.collect();
    let mut regressed = Vec::new();
    let mut undecided = Vec::new();
    for (kind, pairs) in &evidence.suites {
        match judge(*kind, pairs, policy) {
            Finding::Pass => {}
            Finding::Undecided(reason) => undecided.push(reason),
            Finding::Regressed(reason) => regressed.push(reason),
        }
    }
    for (kind, pairs) in &evidence.since_base {
        // A cycle may not take what is left of the margin twice: at the margin it is held until it loses nothing more.
        match judge(*kind, pairs, policy) {
            Finding::Pass => {}
            Finding::Undecided(reason) | Finding::Regressed(reason) => {
                undecided.push(format!("since the base model, {reason}"));
            }
        }
    }
    for (kind, sum) in evidence.drift_after().iter() {
        // What is proven already is no reason to refuse a candidate that loses nothing more.
        let adds = evidence.suites.get(&kind).is_some_and(|pairs| {
            let (losses, gains) = changes(pairs);
            losses > gains
        });
        if adds && sum.e_value() >= policy.e_alarm {
            regressed.push(drifted(kind, sum));
        }
    }
    if !policy.unknown_lessons
        && !evidence.suites.contains_key(&SuiteKind::Taught)
        && !evidence.suites.contains_key(&SuiteKind::Documents)
    {
        undecided.push("nothing that was taught could be measured".into());
    }
    let (verdict, reason) = match (regressed.is_empty(), undecided.is_empty()) {
        (false, _) => (Verdict::Reject, regressed.join("; ")),
        (true, false) => (Verdict::Hold, undecided.join("; ")),
        (true, true) => (Verdict::Promote, praise(&suites)),
    };
    Decision { verdict, reason, suites }
}

/// What one suite says about the candidate.
pub fn judge(kind: SuiteKind, pairs: &[Pair], policy: &GatePolicy) -> Finding {
    match kind {
        SuiteKind::Taught => judge_taught(pairs, policy),
        SuiteKind::Documents => judge_documents(pairs),
        SuiteKind::Rephrased => judge_answers(kind, pairs, 1.0, policy),
        SuiteKind::Kept => match judge_answers(kind, pairs, policy.kept_drop, policy) {
            Finding::Pass => judge_floor(kind, pairs, policy.kept_floor),
            finding => finding,
        },
        SuiteKind::Core => match judge_answers(kind, pairs, policy.core_drop, policy) {
            Finding::Pass => judge_margins(kind, pairs, policy.core_margin_drop),
            finding => finding,
        },
        SuiteKind::Refusals => judge_answers(kind, pairs, policy.refusals_drop, policy),
        SuiteKind::Everyday => match judge_answers(kind, pairs, policy.everyday_drop, policy) {
            Finding::Pass => judge_losses(kind, pairs, policy.everyday_rise),
            finding => finding,
        },
        SuiteKind::KeptDocuments => judge_losses(kind, pairs, policy.documents_rise),
        SuiteKind::Language => judge_losses(kind, pairs, policy.language_rise),
        SuiteKind::Variety => judge_losses(kind, pairs, policy.variety_drop),
    }
}

/// Whether a suite can still pass, when the candidate has answered only the first items: if all the others came out right.
/// Losses of texts are never settled before the last one is read.
pub fn can_pass(kind: SuiteKind, before: &[Score], after: &[Score], policy: &GatePolicy) -> bool {
    let best =
        |before: &Score| Score { correct: before.correct.map(|_| true), loss: before.loss - 1.0 };
    let after = after.iter().copied().chain(before.iter().skip(after.len()).map(best));
    let pairs = before.iter().zip(after).map(|(before, after)| Pair { before: *before, after });
    let pairs: Vec<Pair> = pairs.collect();
    let finding = match kind {
        SuiteKind::Documents
        | SuiteKind::KeptDocuments
        | SuiteKind::Language
        | SuiteKind::Variety => return true,
        SuiteKind::Everyday => judge_answers(kind, &pairs, policy.everyday_drop, policy),
        SuiteKind::Core => judge_answers(kind, &pairs, policy.core_drop, policy),
        _ => judge(kind, &pairs, policy),
    };
    finding == Finding::Pass
}

/// Items lost (right before, wrong after) and won.
pub fn changes(pairs: &[Pair]) -> (usize, usize) {
    let count = |before, after| {
        let matches =
            |p: &&Pair| (p.before.correct, p.after.correct) == (Some(before), Some(after));
        pairs.iter().filter(matches).count()
    };
    (count(true, false), count(false, true))
}

fn judge_taught(pairs: &[Pair], policy: &GatePolicy) -> Finding {
    let n = pairs.len();
    let before = right(pairs, |p| p.before);
    let after = right(pairs, |p| p.after);
    if after < before {
        return Finding::Regressed(format!(
            "said {before} of {n} taught answers before, {after} after"
        ));
    }
    let needed = (policy.taught_share * n as f64).ceil() as usize;
    if after < needed {
        return Finding::Undecided(format!("learned only {after} of {n}"));
    }
    let fell = differences(pairs).iter().sum::<f64>() < 0.0;
    if after == before && !fell {
        return Finding::Undecided(format!("no better at what was taught ({after} of {n})"));
    }
    Finding::Pass
}

fn judge_documents(pairs: &[Pair]) -> Finding {
    let Interval { mean, lower, upper, .. } = paired_t(&differences(pairs));
    if lower > 0.0 {
        return Finding::Regressed(format!("worse at the taught text by {mean:.2} nats a token"));
    }
    // Too few passages for an interval: a fall of a hundredth counts.
    let small = mean_loss(pairs, |p| p.before) * -0.01;
    if upper < 0.0 || (pairs.len() < 3 && mean < small) {
        return Finding::Pass;
    }
    Finding::Undecided(format!("not clearly better at the taught text ({mean:+.3} nats a token)"))
}

fn judge_answers(kind: SuiteKind, pairs: &[Pair], share: f64, policy: &GatePolicy) -> Finding {
    let (losses, gains) = changes(pairs);
    let net = losses.saturating_sub(gains);
    let p = mcnemar(losses, gains);
    let told = || fell(kind, (losses, gains), pairs.len(), p);
    if losses > gains && p < policy.alpha {
        return Finding::Regressed(told());
    }
    // In a small sample one item is more than the margin, and is no evidence.
    let allowed = (share * pairs.len() as f64).max(1.0);
    if net as f64 > allowed {
        return Finding::Undecided(told());
    }
    Finding::Pass
}

/// What was learned was right once: where too little of it still is, nothing more may be lost.
fn judge_floor(kind: SuiteKind, pairs: &[Pair], floor: f64) -> Finding {
    let (losses, gains) = changes(pairs);
    let after = right(pairs, |p| p.after) as f64;
    if losses > gains && after < floor * pairs.len() as f64 - 1.0 {
        return Finding::Undecided(fell(
            kind,
            (losses, gains),
            pairs.len(),
            mcnemar(losses, gains),
        ));
    }
    Finding::Pass
}

/// How much less sure the answers are that HEAD gets right: a loss of a few points moves many margins before it turns few
/// answers, so a sample that is too small to count shows it.
fn judge_margins(kind: SuiteKind, pairs: &[Pair], share: f64) -> Finding {
    let known = pairs.iter().filter(|p| p.before.correct == Some(true)).copied();
    let known: Vec<Pair> = known.collect();
    let margin = -mean_loss(&known, |p| p.before);
    let Interval { mean, lower, upper, .. } = paired_t(&differences(&known));
    if margin <= 0.0 || known.len() < 4 || upper <= share * margin {
        return Finding::Pass;
    }
    let told = format!(
        "{} is less sure: right answers lead by {mean:.2} of {margin:.2} nats less ({upper:.2} at most, {:.2} is normal)",
        called(kind),
        share * margin
    );
    if lower > share * margin { Finding::Regressed(told) } else { Finding::Undecided(told) }
}

fn judge_losses(kind: SuiteKind, pairs: &[Pair], rise: f64) -> Finding {
    let Interval { mean, lower, upper, .. } = paired_t(&differences(pairs));
    let what = called(kind);
    if lower > rise {
        return Finding::Regressed(format!(
            "{what} is worse by {mean:.3} nats a token ({lower:.3} at least, {rise} is normal)"
        ));
    }
    // Under four passages the interval says nothing; the mean has to do.
    if upper < rise || (pairs.len() < 4 && mean < rise) {
        return Finding::Pass;
    }
    Finding::Undecided(format!(
        "{what} may be worse by {upper:.3} nats a token ({mean:+.3} measured, {rise} is normal)"
    ))
}

/// A suite's line.
pub fn report(kind: SuiteKind, pairs: &[Pair]) -> SuiteReport {
    let target = matches!(kind, SuiteKind::Taught | SuiteKind::Rephrased | SuiteKind::Documents);
    let n = pairs.len();
    if pairs.iter().any(|pair| pair.before.correct.is_some()) {
        let share = |side: fn(&Pair) -> Score| right(pairs, side) as f64 / n as f64;
        let (losses, gains) = changes(pairs);
        let p = if target { mcnemar(gains, losses) } else { mcnemar(losses, gains) };
        return SuiteReport { before: share(|p| p.before), after: share(|p| p.after), n, p };
    }
    let sign = if target { -1.0 } else { 1.0 };
    let signed: Vec<f64> = differences(pairs).iter().map(|d| sign * d).collect();
    // Told as the surprise that it is, not as its loss.
    let told = |loss: f64| if kind == SuiteKind::Variety { -loss } else { loss };
    SuiteReport {
        before: told(mean_loss(pairs, |p| p.before)),
        after: told(mean_loss(pairs, |p| p.after)),
        n,
        p: paired_t(&signed).p_above,
    }
}

fn right(pairs: &[Pair], side: fn(&Pair) -> Score) -> usize {
    pairs.iter().filter(|pair| side(pair).correct == Some(true)).count()
}

fn differences(pairs: &[Pair]) -> Vec<f64> {
    pairs.iter().map(|pair| pair.after.loss - pair.before.loss).collect()
}

fn mean_loss(pairs: &[Pair], side: fn(&Pair) -> Score) -> f64 {
    pairs.iter().map(|pair| side(pair).loss).sum::<f64>() / pairs.len().max(1) as f64
}
