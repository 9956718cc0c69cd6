//! The examination: the same items under HEAD and under the candidate, along the way from one to the other.
//!
//! It knows no training and writes nothing but cached scores. Invariant: HEAD and every candidate answer the very
//! same items, so that all differences are paired.

use super::drift::Drift;
use super::evaluate::{Scores, evaluate};
use super::everyday::Told;
use super::example::Example;
use super::gate::{
    Decision, Evidence, Finding, GatePolicy, Pair, Score, SuiteKind, Verdict, can_pass, decide,
    judge,
};
use super::keys::{base_key, scores_key};
use super::learner::{LearnError, LearnResult, Learner, json};
use super::report::Event;
use super::scope::Scope;
use super::student::{Student, StudentResult};
use super::suite::{Item, everyday_items, example_of, sample, user_items};
use super::version::Version;
use crate::model::adapter::Adapter;
use crate::store::{Store, Table, Write};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

/// One version's result on one suite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EvalReport {
    /// Share right, where something is right or wrong.
    pub accuracy: Option<f64>,
    /// Mean loss: nats a token of a text or an answer, the negated margin of a choice.
    pub loss: f64,
    /// Items.
    pub n: usize,
}

/// The items with HEAD's scores.
#[derive(Debug, Default)]
pub(super) struct Exam {
    pub items: BTreeMap<SuiteKind, Vec<Item>>,
    pub before: BTreeMap<SuiteKind, Vec<Score>>,
    /// The base model's scores on what nobody taught, where HEAD is not the base model.
    pub base: BTreeMap<SuiteKind, Vec<Score>>,
}

/// Items of a suite that are asked before it is looked whether the rest is worth asking.
const BLOCK: usize = 16;

/// The suites of what nobody taught.
const UNTAUGHT: [SuiteKind; 5] = [
    SuiteKind::Core,
    SuiteKind::Everyday,
    SuiteKind::Language,
    SuiteKind::Refusals,
    SuiteKind::Variety,
];

/// The way from HEAD to what was trained, and where on it to look.
#[derive(Debug)]
pub(super) struct Way<'a> {
    pub start: &'a Adapter,
    pub end: &'a Adapter,
    /// Shares of the way, the largest first.
    pub scales: &'a [f32],
    /// Where a candidate answers.
    pub scope: Scope,
}

/// A candidate that was decided on.
#[derive(Debug)]
pub(super) struct Examined {
    pub decision: Decision,
    pub scale: f32,
    /// Whether it answers only near what it learned.
    pub scoped: bool,
    pub candidate: Adapter,
    pub scores: Scores,
    /// Answers lost and won since the base model, the candidate's included.
    pub drift: Drift,
}

impl Exam {
    /// Scores every suite with the adapter in place.
    pub async fn score(
        &self,
        student: &mut dyn Student,
        kind: SuiteKind,
        scale: f32,
        cache: &mut Scores,
        events: &mut dyn FnMut(Event),
    ) -> StudentResult<Vec<Score>> {
        let items = &self.items[&kind];
        let total = items.len();
        let mut progress = |done| events(Event::Suite { suite: kind, scale, done, total });
        evaluate(student, items, cache, &mut progress).await
    }

    /// Scores a suite block by block, and returns what was asked when it cannot pass any more, or all of it.
    async fn score_until_clear(
        &self,
        student: &mut dyn Student,
        (kind, scale): (SuiteKind, f32),
        policy: &GatePolicy,
        cache: &mut Scores,
        events: &mut dyn FnMut(Event),
    ) -> StudentResult<Vec<Score>> {
        let items = &self.items[&kind];
        let references = [self.before.get(&kind), self.base.get(&kind)];
        let mut scores = Vec::new();
        for block in items.chunks(BLOCK) {
            let (done, total) = (scores.len(), items.len());
            let mut progress =
                |more| events(Event::Suite { suite: kind, scale, done: done + more, total });
            scores.extend(evaluate(student, block, cache, &mut progress).await?);
            let open = |before: &&Vec<Score>| can_pass(kind, before.as_slice(), &scores, policy);
            if !references.iter().flatten().all(open) {
                break;
            }
        }
        Ok(scores)
    }

    /// Ids of the earlier lessons that HEAD does not say any more.
    pub fn lost(&self) -> HashSet<&str> {
        let asked = self.items.get(&SuiteKind::Kept).into_iter().flatten();
        let scored = asked.zip(self.before.get(&SuiteKind::Kept).into_iter().flatten());
        let lost = scored.filter(|(_, score)| score.correct == Some(false));
        lost.filter_map(|(item, _)| example_of(&item.key)).collect()
    }

    /// Ids of the earlier lessons that HEAD says and the candidate in place does not.
    pub async fn lost_by(
        &self,
        student: &mut dyn Student,
        events: &mut dyn FnMut(Event),
    ) -> StudentResult<HashSet<&str>> {
        let Some(items) = self.items.get(&SuiteKind::Kept) else { return Ok(HashSet::new()) };
        let after = self.score(student, SuiteKind::Kept, 1.0, &mut Scores::new(), events).await?;
        let pairs = paired(&self.before[&SuiteKind::Kept], &after);
        let lost = items.iter().zip(pairs).filter(|(_, pair)| {
            (pair.before.correct, pair.after.correct) == (Some(true), Some(false))
        });
        Ok(lost.filter_map(|(item, _)| example_of(&item.key)).collect())
    }

    /// Scores that a candidate of this scope cannot change: where it does not answer, HEAD did not either, since a scope only
    /// grows; the base model does, before and after.
    fn untouched(&self, scope: &Scope) -> Scores {
        let scored =
            self.items.iter().flat_map(|(kind, items)| items.iter().zip(&self.before[kind]));
        let outside = scored.filter(|(item, _)| !item.is_in(scope));
        outside.map(|(item, score)| (item.key.clone(), *score)).collect()
    }

    /// Examines the way from HEAD to what was trained at each scale, the largest first, and returns the first that
    /// passes the gate, else the whole change.
    pub async fn ladder(
        &self,
        student: &mut dyn Student,
        way: &Way<'_>,
        (policy, drift): (&GatePolicy, &Drift),
        events: &mut dyn FnMut(Event),
    ) -> StudentResult<Examined> {
        let mut whole: Option<Examined> = None;
        let mut order: Vec<SuiteKind> =
            SuiteKind::ALL.into_iter().filter(|kind| self.items.contains_key(kind)).collect();
        'scales: for &scale in way.scales {
            let candidate = way.start.interpolate(way.end, scale);
            student.use_adapter(Some(&candidate), way.scope.clone()).await?;
            let mut evidence = Evidence { drift: drift.clone(), ..Evidence::default() };
            let mut scores = self.untouched(&way.scope);
            let mut failed = None;
            for &kind in &order {
                // The whole change is examined in full, for the report; the others only until it is clear that they fail.
                let asked = (kind, scale);
                let after = match whole {
                    None => self.score(student, kind, scale, &mut scores, events).await?,
                    Some(_) => {
                        self.score_until_clear(student, asked, policy, &mut scores, events).await?
                    }
                };
                if after.len() < self.items[&kind].len() {
                    order = first(&order, kind);
                    continue 'scales;
                }
                let pairs = paired(&self.before[&kind], &after);
                let mut passed = judge(kind, &pairs, policy) == Finding::Pass;
                evidence.suites.insert(kind, pairs);
                if let Some(base) = self.base.get(&kind) {
                    let pairs = paired(base, &after);
                    passed &= judge(kind, &pairs, policy) == Finding::Pass;
                    evidence.since_base.insert(kind, pairs);
                }
                if !passed {
                    failed = failed.or(Some(kind));
                    if whole.is_some() {
                        order = first(&order, kind);
                        continue 'scales;
                    }
                }
            }
            let decision = decide(&evidence, policy);
            let promoted = decision.verdict == Verdict::Promote;
            let drift = evidence.drift_after();
            let scoped = !way.scope.holds_everything();
            let examined = Examined { decision, scale, scoped, candidate, scores, drift };
            if promoted {
                return Ok(examined);
            }
            whole.get_or_insert(examined);
            if let Some(kind) = failed {
                // What the whole change does not teach, a part of it does not either.
                if matches!(kind, SuiteKind::Taught | SuiteKind::Documents) {
                    break;
                }
                order = first(&order, kind);
            }
        }
        Ok(whole.expect("there is at least one scale"))
    }
}

impl<S: Store> Learner<S> {
    /// Scores a version (by default HEAD; `base` is the base model) on one suite or all, by name. The student serves
    /// HEAD again on return. `items_max` limits each suite.
    pub async fn eval(
        &mut self,
        student: &mut dyn Student,
        suite: Option<&str>,
        version: Option<&str>,
        items_max: Option<usize>,
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<BTreeMap<SuiteKind, EvalReport>> {
        let only = match suite {
            Some(name) => {
                Some(SuiteKind::named(name).ok_or_else(|| LearnError::NoSuite(name.into()))?)
            }
            None => None,
        };
        let id = match version {
            Some(name) => self.resolve(name)?,
            None => self.head.clone(),
        };
        let version = id.as_ref().map(|id| self.versions[id].clone());
        self.check_base(student, version.as_ref())?;
        student.use_adapter(None, Scope::everything()).await?;
        let everyday = self.everyday(student).await?;
        let most = (items_max, items_max);
        let mut exam = self.exam(&self.pending(), &everyday, most, &Scope::everything());
        exam.items.retain(|kind, _| only.is_none_or(|only| only == *kind));
        self.serve(student, version.as_ref()).await?;
        let scored = self.score_version(student, &mut exam, version.as_ref(), events).await;
        self.serve(student, self.head()).await?;
        scored?;
        Ok(exam.before.iter().map(|(kind, scores)| (*kind, summary(scores))).collect())
    }

    /// The items of a cycle that teaches `new`, at most so many of a suite and of the earlier lessons.
    ///
    /// Where there are more, those that `scope` covers come first: the others cannot change.
    pub(super) fn exam(
        &self,
        new: &[&Example],
        everyday: &[Told],
        (items_max, kept_max): (Option<usize>, Option<usize>),
        scope: &Scope,
    ) -> Exam {
        let earlier = self.regressions();
        let mut items = self.suites.items();
        items.extend(everyday_items(everyday));
        for (kind, found) in user_items(new, &earlier.iter().collect::<Vec<_>>()) {
            items.insert(kind, found);
        }
        for (kind, found) in &mut items {
            match kind {
                // What is taught is no sample of anything: all of it is asked.
                SuiteKind::Taught | SuiteKind::Documents => {}
                // Those that wait for longest come first, so that a sample is another one each time.
                SuiteKind::Kept => found.truncate(kept_max.unwrap_or(usize::MAX)),
                SuiteKind::KeptDocuments | SuiteKind::Rephrased => {
                    found.truncate(items_max.unwrap_or(usize::MAX));
                }
                _ => {
                    let all = std::mem::take(found).into_iter();
                    let (inside, outside) = all.partition(|item| item.is_in(scope));
                    *found = sample(inside, items_max, self.seed);
                    let room = items_max.map(|n| n - found.len());
                    found.extend(sample(outside, room, self.seed));
                }
            }
        }
        items.retain(|_, items| !items.is_empty());
        Exam { items, ..Exam::default() }
    }

    /// Scores all items for a version whose adapter is in place, through its cache, into `exam.before`.
    pub(super) async fn score_version(
        &self,
        student: &mut dyn Student,
        exam: &mut Exam,
        version: Option<&Version>,
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<()> {
        let key = match version {
            Some(version) => version.id.clone(),
            None => base_key(&student.base_hash()),
        };
        let mut cache = self.scores(&key).await?;
        let kinds: Vec<SuiteKind> = exam.items.keys().copied().collect();
        for kind in kinds {
            let known = cache.len();
            let scores = exam.score(student, kind, 0.0, &mut cache, events).await?;
            exam.before.insert(kind, scores);
            // Written suite by suite, so that a stopped cycle does not lose them.
            if cache.len() > known {
                self.store
                    .apply(&[Write::put(Table::Cache, scores_key(&key), json(&cache))])
                    .await?;
            }
        }
        Ok(())
    }

    /// Scores what nobody taught for the base model, which is put in place, into `exam.base`; where HEAD does not answer, it
    /// has been scored already.
    pub(super) async fn score_base(
        &self,
        student: &mut dyn Student,
        exam: &mut Exam,
        scope: &Scope,
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<()> {
        let key = base_key(&student.base_hash());
        let mut cache = self.scores(&key).await?;
        let known = cache.len();
        student.use_adapter(None, Scope::everything()).await?;
        for kind in UNTAUGHT.into_iter().filter(|kind| exam.items.contains_key(kind)) {
            let scored = exam.items[&kind].iter().zip(&exam.before[&kind]);
            let outside = scored.filter(|(item, _)| !item.is_in(scope));
            cache.extend(outside.map(|(item, score)| (item.key.clone(), *score)));
            let scores = exam.score(student, kind, 0.0, &mut cache, events).await?;
            exam.base.insert(kind, scores);
        }
        if cache.len() > known {
            let write = Write::put(Table::Cache, scores_key(&key), json(&cache));
            self.store.apply(&[write]).await?;
        }
        Ok(())
    }

    /// Refuses a version that was trained on another base model than the student's.
    pub(super) fn check_base(
        &self,
        student: &dyn Student,
        version: Option<&Version>,
    ) -> LearnResult<()> {
        match version {
            Some(version) if version.base_hash != student.base_hash() => {
                Err(LearnError::OtherBase { version: version.id.clone() })
            }
            _ => Ok(()),
        }
    }
}

/// The same items before and after.
fn paired(before: &[Score], after: &[Score]) -> Vec<Pair> {
    let both = before.iter().zip(after);
    both.map(|(before, after)| Pair { before: *before, after: *after }).collect()
}

/// The order with one suite moved to the front.
fn first(order: &[SuiteKind], kind: SuiteKind) -> Vec<SuiteKind> {
    let others = order.iter().copied().filter(|other| *other != kind);
    std::iter::once(kind).chain(others).collect()
}

/// Scores in short: the share right, and the mean loss.
pub fn summary(scores: &[Score]) -> EvalReport {
    let n = scores.len();
    let graded: Vec<bool> = scores.iter().filter_map(|score| score.correct).collect();
    let right = graded.iter().filter(|correct| **correct).count();
    let accuracy = (!graded.is_empty()).then(|| right as f64 / graded.len() as f64);
    EvalReport { accuracy, loss: scores.iter().map(|s| s.loss).sum::<f64>() / n.max(1) as f64, n }
}
