//! A learning cycle: prepare, examine HEAD, train a candidate, examine it, decide, commit or drop, journal.
//!
//! Everything it needs comes in: student, clock, store, events. Invariants: a rejected or held candidate never moves
//! HEAD; a new version's adapter is durable before the one write that names it; the student serves HEAD on return,
//! whatever happened.

use super::audit::Line;
use super::evaluate::Scores;
use super::exam::{Examined, Way};
use super::example::Example;
use super::gate::{SuiteKind, Verdict};
use super::history::weighed;
use super::keys::scores_key;
use super::learner::{LearnError, LearnResult, Learner, json};
use super::mend::mend;
use super::prepare::Material;
use super::prune::prune;
use super::recipe::Lesson;
use super::report::{Action, CycleReport, Event, LearnOptions, Phase};
use super::run::{plan, train};
use super::stats::EProcess;
use super::student::{Student, StudentError};
use super::suite::example_key;
use super::version::Version;
use crate::store::{Store, Table, Write};
use crate::train::Importance;
use std::collections::BTreeMap;

/// What a candidate was made from, and what that needs.
pub(super) struct Made<'a> {
    pub new: &'a [Lesson],
    /// Ids of the earlier examples that were replayed.
    pub replayed: &'a [String],
    /// What the lessons need of the candidate (EWC), where that was measured.
    pub importance: Option<Importance>,
    /// The version that was merged into HEAD, where nothing was trained.
    pub merged: Option<&'a Version>,
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
                let mut batch = self.pending();
                batch.truncate(options.lessons_max);
                let examples = batch.into_iter().map(|example| example.id.clone()).collect();
                let line = Line::new(action, self.head.clone(), error.to_string());
                let (cycle, kept) = self.inputs(options);
                let line = Line { examples, cycle: Some(cycle), ..line };
                // The first error is what the caller must hear; a store that fails here too adds nothing.
                if self.commit(vec![kept], line).await.is_ok() {
                    self.sweep().await;
                }
                self.checkpoint = self.kept_checkpoint().await.unwrap_or_default();
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
            return self.conclude_screened(&material, options, began_ms, events).await;
        }
        events(Event::phase(Phase::Prepare, "examining the model as it is"));
        let head = self.head_adapter().await?;
        self.serve(student, self.head()).await?;
        let scope = self.scope_after(&material, options).await?;
        let new: Vec<&Example> = material.new.iter().map(|lesson| &lesson.example).collect();
        let mut exam = self.exam(&new, &material.everyday, (options.sample, options.kept), &scope);
        self.score_version(student, &mut exam, self.head(), events).await?;
        if head.is_some() {
            self.score_base(student, &mut exam, &scope, events).await?;
        }
        let taught: Vec<String> = new.iter().map(|example| example.id.clone()).collect();
        if options.mending > 0 {
            material.repair(&exam.lost());
        }
        let given = options;
        let mut options = options.clone();
        if scope.holds_everything() {
            options.recipe.protecting = options.recipe.protecting_everywhere;
        }
        let options = &options;
        events(Event::phase(Phase::Train, "training a candidate"));
        let seed = self.cycle_seed(&student.base_hash(), &taught);
        let mut plan = plan(&material, options, seed);
        let ewc = &options.recipe.ewc;
        plan.penalty = self.penalty(student, head.as_ref(), &plan, ewc, &material).await?;
        let asked = (options, &plan);
        let mut keeper = self.keeper(&student.base_hash(), &material, asked).await?;
        let mut trained =
            train(student, head.as_ref(), &material, asked, &mut keeper, events).await?;
        let mut keeper = keeper.keeping_nothing();
        mend(student, &mut trained, (&exam, &mut material), asked, &mut keeper, events).await?;

        events(Event::phase(Phase::Evaluate, "examining the candidate"));
        let way = Way { start: &trained.start, end: &trained.end, scales: &options.scales, scope };
        let drift = self.head().map(Version::drift).unwrap_or_default();
        let rules = (&options.policy, &drift);
        let examined = exam.ladder(student, &way, rules, events).await?;
        let importance = match examined.decision.verdict {
            Verdict::Promote => {
                self.consolidated(student, &examined.candidate, &plan, ewc, &material.new).await?
            }
            _ => None,
        };
        events(Event::phase(Phase::Commit, "writing the decision down"));
        let losses = (trained.loss_first, trained.loss_last);
        let (new, replayed) = (&material.new, &trained.replayed);
        let report = self.report((new, &material.notes), losses, &examined, began_ms);
        let made = Made { new, replayed, importance, merged: None };
        self.conclude((student.base_hash(), given), made, examined, report, events).await
    }

    /// The report of a cycle, with HEAD as it was.
    pub(super) fn report(
        &self,
        (new, notes): (&[Lesson], &[String]),
        (loss_first, loss_last): (f32, f32),
        examined: &Examined,
        began_ms: u64,
    ) -> CycleReport {
        let decision = &examined.decision;
        CycleReport {
            verdict: decision.verdict,
            reason: decision.reason.clone(),
            version: self.head.clone(),
            suites: decision.suites.clone(),
            loss_first,
            loss_last,
            seconds: self.seconds_since(began_ms),
            scale: examined.scale,
            learned: learned(new, &examined.scores).len(),
            taught: new.len(),
            notes: notes.to_vec(),
        }
    }

    /// Writes a cycle's end: a version and HEAD if promoted, the journal always, all in one write.
    pub(super) async fn conclude(
        &mut self,
        (base_hash, options): (String, &LearnOptions),
        made: Made<'_>,
        examined: Examined,
        mut report: CycleReport,
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<CycleReport> {
        let mut examples = self.examples.clone();
        for id in made.ids() {
            examples.entry(id).and_modify(|example| example.uses += 1);
        }
        let (cycle, kept) = self.inputs(options);
        let mut writes = vec![kept];
        let (mut versions, mut blob, mut freed) = (None, None, BTreeMap::new());
        match report.verdict {
            Verdict::Promote => {
                let adapter = self.store.put_blob(&examined.candidate.to_bytes()).await?;
                let importance = match &made.importance {
                    Some(importance) => Some(self.store.put_blob(&importance.to_bytes()).await?),
                    None => None,
                };
                let blobs = (adapter.clone(), importance);
                let made = self.version(base_hash, &made, &examined, blobs, &report);
                freed = self.freed(&made.learned);
                report.version = Some(made.id.clone());
                writes.push(Write::put(Table::Versions, &made.id, made.record()));
                writes.extend(self.head_writes(&report.version));
                // Kept with the version: comparing and bisecting read them.
                let key = scores_key(&made.id);
                writes.push(Write::put(Table::Cache, key, json(&examined.scores)));
                let mut all = self.versions.clone();
                all.insert(made.id.clone(), made.clone());
                examples = weighed(&examples, &all, Some(&made.id));
                let near = (made.id.as_str(), self.ancestors);
                writes.extend(prune(&mut all, near, &self.names, &self.kept_ids()));
                (versions, blob) = (Some(all), Some(adapter));
            }
            Verdict::Hold => writes.push(self.keep_held(&examined.candidate).await?),
            Verdict::Reject => {}
        }
        writes.extend(self.changed(&examples));
        writes.extend(freed.iter().map(|(id, q)| Write::put(Table::Quarantine, id, json(q))));
        let (action, note) = match made.merged {
            Some(other) => (Action::Merge, note(other, &report)),
            None => (Action::Cycle, report.reason.clone()),
        };
        let line = Line::new(action, report.version.clone(), note);
        let taught = made.new.iter().map(|lesson| lesson.example.id.clone()).collect();
        let (report_kept, cycle) = (Some(report.without_words()), Some(cycle));
        let line = Line { report: report_kept, adapter: blob, examples: taught, cycle, ..line };
        self.commit(writes, line).await?;

        self.examples = examples;
        self.quarantine.extend(freed);
        if let Some(versions) = versions {
            self.head_moved(report.version.clone());
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
        options: &LearnOptions,
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
            notes: material.notes.clone(),
        };
        // The reason quotes an example, and the journal must not.
        let note = format!("all {n} examples were set aside");
        let line = Line::new(Action::Cycle, self.head.clone(), note.clone());
        let kept = Some(CycleReport { reason: note, ..report.without_words() });
        let (cycle, write) = self.inputs(options);
        self.commit(vec![write], Line { report: kept, cycle: Some(cycle), ..line }).await?;
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
            merged: made.merged.map(|other| other.id.clone()),
            origin: None,
            depth: self.cycle().max(made.merged.map_or(0, |other| other.depth + 1)),
            adapter,
            importance,
            base_hash,
            examples: made.ids().collect(),
            learned: learned(made.new, &examined.scores),
            losses: Some(losses(&self.examples, &examined.scores)),
            suites: report.suites.clone(),
            scoped: examined.scoped,
            scale: report.scale,
            core: examined.drift.of(SuiteKind::Core),
            drifts: examined.drift.clone().set(SuiteKind::Core, EProcess::default()),
            created_ms: (self.clock)(),
            note: report.reason.clone(),
        }
        .sealed()
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

/// The losses that were measured, by example. In 1/1024 nat: they come back from JSON as they were, and do not depend on
/// which texts were scored side by side.
fn losses(examples: &BTreeMap<String, Example>, scores: &Scores) -> BTreeMap<String, f64> {
    let round = |loss: f64| (loss * 1024.0).round() / 1024.0;
    let of = |id: &String| Some((id.clone(), round(scores.get(&example_key(id))?.loss)));
    examples.keys().filter_map(of).collect()
}

/// A merge's end in the journal.
fn note(other: &Version, report: &CycleReport) -> String {
    let word = match report.verdict {
        Verdict::Promote => "merged",
        Verdict::Hold => "held the merge of",
        Verdict::Reject => "refused the merge of",
    };
    format!("{word} {}: {}", other.id, report.reason)
}

fn announce(report: &CycleReport, events: &mut dyn FnMut(Event)) {
    events(Event::Verdict {
        verdict: report.verdict,
        reason: report.reason.clone(),
        version: report.version.clone(),
        scale: report.scale,
    });
}
