//! A learning cycle: prepare, examine HEAD, train a candidate, examine it, decide, commit or drop, journal.
//!
//! Everything it needs comes in: student, clock, store, events. Invariants: a rejected or held candidate never moves
//! HEAD; a new version's adapter is durable before the one write that names it; the student serves HEAD on return,
//! whatever happened.

use super::evaluate::Scores;
use super::exam::{Examined, Way};
use super::example::Example;
use super::gate::Verdict;
use super::keys::scores_key;
use super::learner::{LearnError, LearnResult, Learner, json};
use super::prepare::Material;
use super::prune::prune;
use super::recipe::Lesson;
use super::replay::learnability;
use super::report::{Action, CycleReport, Event, LearnOptions, Phase};
use super::run::{Trained, plan, train};
use super::stats::EProcess;
use super::student::{Student, StudentError};
use super::suite::example_key;
use super::version::Version;
use crate::store::{Store, Table, Write};
use crate::train::Importance;
use std::collections::BTreeMap;

/// What a cycle trained on, and what that needs.
struct Made<'a> {
    new: &'a [Lesson],
    /// Ids of the earlier examples that were replayed.
    replayed: &'a [String],
    /// What the lessons need of the candidate (EWC), where that was measured.
    importance: Option<Importance>,
}

impl Made<'_> {
    fn ids(&self) -> impl Iterator<Item = String> {
        let new = self.new.iter().map(|lesson| lesson.example.id.clone());
        new.chain(self.replayed.iter().cloned())
    }
}

impl<S: Store> Learner<S> {
    /// Runs one cycle on what is pending. Its end is journaled, also when it was stopped or failed.
    pub async fn learn(
        &mut self,
        student: &mut dyn Student,
        options: &LearnOptions,
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<CycleReport> {
        if self.pending().is_empty() {
            return Err(LearnError::NothingToLearn);
        }
        self.check_base(student, self.head())?;
        let outcome = self.attempt(student, options, events).await;
        let restored = self.serve(student, self.head()).await;
        match outcome {
            Ok(report) => restored.map(|()| report),
            Err(error) => {
                let action = match &error {
                    LearnError::Student(StudentError::Cancelled) => Action::Stopped,
                    _ => Action::Failed,
                };
                let (entry, write) = self.entry(action, self.head.clone(), error.to_string(), None);
                // The first error is what the caller must hear; a store that fails here too adds nothing.
                if self.store.apply(&[write]).await.is_ok() {
                    self.journal.push(entry);
                }
                Err(error)
            }
        }
    }

    async fn attempt(
        &mut self,
        student: &mut dyn Student,
        options: &LearnOptions,
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<CycleReport> {
        let began_ms = (self.clock)();
        events(Event::phase(Phase::Prepare, "looking at the examples"));
        let mut material = self.prepare(student, options, events).await?;
        if material.new.is_empty() {
            return self.conclude_screened(&material, began_ms, events).await;
        }
        events(Event::phase(Phase::Prepare, "examining the model as it is"));
        let head = self.head_adapter().await?;
        self.serve(student, self.head()).await?;
        let scope = self.scope_after(&material, options).await?;
        let new: Vec<&Example> = material.new.iter().map(|lesson| &lesson.example).collect();
        let everyday = material.everyday.clone();
        let mut exam = self.exam(&new, everyday, options.sample, &scope);
        self.score_version(student, &mut exam, self.head(), events).await?;
        if head.is_some() {
            self.score_base(student, &mut exam, &scope, events).await?;
        }
        material.repair(&exam.lost());
        let mut options = options.clone();
        if scope.holds_everything() {
            options.recipe.protecting = options.recipe.protecting_everywhere;
        }
        let options = &options;
        events(Event::phase(Phase::Train, "training a candidate"));
        // Another seed each time: a cycle that was held is not repeated to the letter.
        let seed = self.seed ^ (self.journal.last().map_or(0, |entry| entry.number) << 20);
        let mut plan = plan(&material, options, seed);
        let ewc = &options.recipe.ewc;
        plan.penalty = self.penalty(student, head.as_ref(), &plan, ewc, &material).await?;
        let (clock, asked) = (&self.clock, (options, &plan));
        let trained = train(student, head.as_ref(), &material, asked, clock, events).await?;

        events(Event::phase(Phase::Evaluate, "examining the candidate"));
        let way = Way { start: &trained.start, end: &trained.end, scales: &options.scales, scope };
        let rules = (&options.policy, self.drift());
        let examined = exam.ladder(student, &way, rules, events).await?;
        let importance = match examined.decision.verdict {
            Verdict::Promote => {
                self.consolidated(student, &examined.candidate, &plan, ewc, &material.new).await?
            }
            _ => None,
        };
        events(Event::phase(Phase::Commit, "writing the decision down"));
        let report = self.report(&material.new, &trained, &examined, began_ms);
        let made = Made { new: &material.new, replayed: &trained.replayed, importance };
        self.conclude(student.base_hash(), made, examined, report, events).await
    }

    /// The report of a cycle, with HEAD as it was.
    fn report(
        &self,
        new: &[Lesson],
        trained: &Trained,
        examined: &Examined,
        began_ms: u64,
    ) -> CycleReport {
        let decision = &examined.decision;
        CycleReport {
            verdict: decision.verdict,
            reason: decision.reason.clone(),
            version: self.head.clone(),
            suites: decision.suites.clone(),
            loss_first: trained.loss_first,
            loss_last: trained.loss_last,
            seconds: self.seconds_since(began_ms),
            scale: examined.scale,
            learned: learned(new, &examined.scores).len(),
            taught: new.len(),
        }
    }

    /// Writes a cycle's end: a version and HEAD if promoted, the journal always, all in one write.
    async fn conclude(
        &mut self,
        base_hash: String,
        made: Made<'_>,
        examined: Examined,
        mut report: CycleReport,
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<CycleReport> {
        let mut examples = self.examples.clone();
        for id in made.ids() {
            examples.entry(id).and_modify(|example| example.uses += 1);
        }
        let mut writes = Vec::new();
        let mut versions = None;
        match report.verdict {
            Verdict::Promote => {
                let adapter = self.store.put_blob(&examined.candidate.to_bytes()).await?;
                let importance = match &made.importance {
                    Some(importance) => Some(self.store.put_blob(&importance.to_bytes()).await?),
                    None => None,
                };
                let blobs = (adapter, importance);
                let made = self.version(base_hash, &made, &examined, blobs, &report);
                measure(&mut examples, &examined.scores, self.cycle());
                report.version = Some(made.id.clone());
                writes.push(Write::put(Table::Versions, &made.id, made.record()));
                writes.push(Self::move_head(&report.version));
                writes.extend(self.score_writes(&made, &examined.scores));
                let mut all = self.versions.clone();
                all.insert(made.id.clone(), made.clone());
                writes.extend(prune(&mut all, &made.id, &self.examples));
                versions = Some(all);
            }
            Verdict::Hold => writes.push(self.keep_held(&examined.candidate).await?),
            Verdict::Reject => {}
        }
        for (id, example) in &examples {
            if self.examples.get(id) != Some(example) {
                writes.push(Write::put(Table::Examples, id, json(example)));
            }
        }
        let note = report.reason.clone();
        let (entry, line) =
            self.entry(Action::Cycle, report.version.clone(), note, Some(report.clone()));
        writes.push(line);
        let old = self.old_lines();
        writes.extend_from_slice(&old);
        self.store.apply(&writes).await?;

        self.journal.drain(..old.len());
        self.journal.push(entry);
        self.examples = examples;
        if let Some(versions) = versions {
            self.head = report.version.clone();
            self.versions = versions;
        }
        self.sweep().await;
        announce(&report, events);
        Ok(report)
    }

    /// The end of a cycle whose examples were all set aside: held, without a candidate.
    async fn conclude_screened(
        &mut self,
        material: &Material,
        began_ms: u64,
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<CycleReport> {
        let n = material.set_aside.len();
        let first = material.set_aside.first().map_or("", String::as_str);
        let report = CycleReport {
            verdict: Verdict::Hold,
            reason: format!("all {n} examples were set aside; the first: {first}"),
            version: self.head.clone(),
            suites: BTreeMap::new(),
            loss_first: 0.0,
            loss_last: 0.0,
            seconds: self.seconds_since(began_ms),
            scale: 0.0,
            learned: 0,
            taught: 0,
        };
        let note = report.reason.clone();
        let (entry, line) =
            self.entry(Action::Cycle, self.head.clone(), note, Some(report.clone()));
        self.store.apply(&[line]).await?;
        self.journal.push(entry);
        announce(&report, events);
        Ok(report)
    }

    fn version(
        &self,
        base_hash: String,
        made: &Made<'_>,
        examined: &Examined,
        (adapter, importance): (String, Option<String>),
        report: &CycleReport,
    ) -> Version {
        Version {
            id: String::new(),
            parent: self.head.clone(),
            adapter,
            importance,
            base_hash,
            examples: made.ids().collect(),
            learned: learned(made.new, &examined.scores),
            suites: report.suites.clone(),
            scoped: examined.scoped,
            scale: report.scale,
            drift: examined.drift,
            created_ms: (self.clock)(),
            note: report.reason.clone(),
        }
        .sealed()
    }

    /// The new version's scores, and the end of those that are not needed any more: HEAD's are kept for a rollback.
    fn score_writes(&self, made: &Version, scores: &Scores) -> Vec<Write> {
        let stale = self.versions.keys().filter(|id| Some(*id) != self.head.as_ref());
        let mut writes: Vec<Write> =
            stale.map(|id| Write::delete(Table::Cache, scores_key(id))).collect();
        writes.push(Write::put(Table::Cache, scores_key(&made.id), json(scores)));
        writes
    }

    fn drift(&self) -> EProcess {
        self.head().map(|version| version.drift).unwrap_or_default()
    }

    fn seconds_since(&self, began_ms: u64) -> f64 {
        (self.clock)().saturating_sub(began_ms) as f64 / 1000.0
    }
}

/// The new examples that the candidate says; documents count as learned once the gate passed them.
fn learned(new: &[Lesson], scores: &Scores) -> Vec<String> {
    let ids = new.iter().map(|lesson| lesson.example.id.clone());
    ids.filter(|id| scores.get(&example_key(id)).is_some_and(|s| s.correct != Some(false)))
        .collect()
}

/// Takes up the losses that were measured: the best one so far, and with it the weight in replay draws.
fn measure(examples: &mut BTreeMap<String, Example>, scores: &Scores, cycle: u64) {
    for example in examples.values_mut() {
        if let Some(score) = scores.get(&example_key(&example.id)) {
            let best = example.loss_best.map_or(score.loss, |best| best.min(score.loss));
            example.loss_best = Some(best);
            example.measured = cycle;
            example.priority = learnability(score.loss, best);
        }
    }
}

fn announce(report: &CycleReport, events: &mut dyn FnMut(Event)) {
    events(Event::Verdict {
        verdict: report.verdict,
        reason: report.reason.clone(),
        version: report.version.clone(),
        scale: report.scale,
    });
}
