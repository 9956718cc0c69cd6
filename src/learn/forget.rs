//! Forgetting an example: HEAD, tags and branches are rebuilt as if it had never been taught.
//!
//! What never saw it stays; from there the later cycles run again without it, through the same `learn`, in a store
//! beside the real one, with the clock, the seed and the options that they had. Invariants: HEAD answers as before until
//! one write moves every name, deletes the text and says so in the journal; the rebuilt adapters are durable before it;
//! what was rebuilt before a crash is not rebuilt again.

use super::audit::Line;
use super::chain::Chain;
use super::example::{Example, Past};
use super::history::weighed;
use super::keys::{STAGE, scores_key};
use super::learner::{Clock, LearnError, LearnResult, Learner, Quarantined, json};
use super::names::Names;
use super::position::Pace;
use super::prune::{prune, pruned_write};
use super::report::{Action, Event, JournalEntry, LearnOptions, Phase};
use super::script::{Script, Step};
use super::student::Student;
use super::version::{Version, Versions};
use crate::store::overlay::{Overlay, Records};
use crate::store::{Store, Table, Write};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// What forgetting did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ForgetReport {
    /// The example.
    pub example: String,
    /// What each version that had seen it became; none is the base model.
    pub became: BTreeMap<String, Option<String>>,
    /// Versions that had seen it and that nothing needed: they are gone.
    pub dropped: Vec<String>,
    /// Cycles that ran again.
    pub cycles: usize,
    /// HEAD now; none is the base model.
    pub head: Option<String>,
    /// Why HEAD may differ from what it would have been; empty if it does not.
    pub doubts: Vec<String>,
}

/// How far forgetting has come: all that the next cycle needs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Stage {
    example: String,
    /// The chain's end when it began: what was done since makes it worthless.
    chain: String,
    /// The version that is rebuilt, and how many of its steps are done.
    target: Option<String>,
    done: usize,
    /// What is rebuilt.
    became: BTreeMap<String, Option<String>>,
    /// What HEAD becomes, once that is known, and what is in quarantine then.
    head: Option<Option<String>>,
    quarantine: BTreeMap<String, Quarantined>,
    /// The shadow's own state.
    at: Option<String>,
    journal: Vec<JournalEntry>,
    set_aside: BTreeMap<String, Quarantined>,
    /// Records beside the store: table, key, value.
    records: Vec<(String, String, Option<String>)>,
    cycles: usize,
    doubts: Vec<String>,
}

/// The life without the example, while it is lived again.
struct Shadow<'a, S: Store> {
    learner: Learner<Overlay<'a, S>>,
    now: Rc<Cell<u64>>,
    /// All examples but the one, and those that others replaced.
    examples: BTreeMap<String, Example>,
    past: Vec<Past>,
}

impl<S: Store> Learner<S> {
    /// Forgets an example: what had learned from it is rebuilt without it. The student serves HEAD on return. Stopped or
    /// cut off, it has changed nothing, and goes on where it was when it is asked for again.
    pub async fn forget(
        &mut self,
        student: &mut dyn Student,
        id: &str,
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<ForgetReport> {
        if !self.knows(id) {
            return Err(LearnError::NoExample(id.into()));
        }
        self.check_base(student, self.head())?;
        let rebuilt = self.rebuild(student, id, events).await;
        let done = match rebuilt {
            Ok((stage, versions)) => self.conclude_forgetting(stage, &versions).await,
            Err(error) => Err(error),
        };
        self.serve(student, self.head()).await?;
        done
    }

    /// Rebuilds, beside the store, all that HEAD, tags and branches name and that saw the example.
    async fn rebuild(
        &self,
        student: &mut dyn Student,
        id: &str,
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<(Stage, Versions)> {
        let saw = self.saw(id);
        let mut stage = self.stage(id).await?;
        let mut shadow = self.shadow(id, &saw, &stage).await?;
        let named = self.head.iter().chain(self.names.roots());
        let mut targets: Vec<&String> = named.filter(|version| saw.contains(*version)).collect();
        let mut seen = BTreeSet::new();
        targets.retain(|target| seen.insert(*target));
        for target in targets {
            let is_head = self.head.as_ref() == Some(target);
            let is_done =
                if is_head { stage.head.is_some() } else { stage.became.contains_key(target) };
            if is_done {
                continue;
            }
            let (script, before) = self.script(target, id, &saw, is_head);
            if stage.target.as_ref() != Some(target) {
                shadow.begin(&script, before, self.set_aside_at(script.after, id));
                stage.doubts.extend(script.doubts.iter().cloned());
                (stage.target, stage.done) = (Some(target.clone()), 0);
            }
            self.relive(student, &script, (&mut stage, &mut shadow), events).await?;
            let end = shadow.learner.head.clone();
            stage.became.entry(target.clone()).or_insert(end.clone());
            if is_head {
                stage.head = Some(end);
                stage.quarantine = shadow.learner.quarantine.clone();
            }
        }
        self.save(&mut stage, &shadow).await?;
        let versions = self.pruned_after(&stage, shadow);
        Ok((stage, versions))
    }

    /// Lives what is left of a script; each step is durable before the next.
    async fn relive(
        &self,
        student: &mut dyn Student,
        script: &Script,
        (stage, shadow): (&mut Stage, &mut Shadow<'_, S>),
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<()> {
        let total = script.steps.len();
        for (done, step) in script.steps.iter().enumerate().skip(stage.done) {
            events(Event::Phase {
                phase: Phase::Prepare,
                done: Some(done),
                total: Some(total),
                detail: Some("learning again without the example".into()),
            });
            let options = match &step.entry.cycle {
                Some(inputs) => self.options_of(inputs).await?.unwrap_or_default(),
                None => LearnOptions::default(),
            };
            let ran = shadow.step(student, step, &options, &self.quarantine, events).await?;
            stage.cycles += usize::from(ran);
            if step.run && step.entry.from != step.entry.to {
                let made = step.entry.to.iter().cloned();
                stage.became.extend(made.map(|made| (made, shadow.learner.head.clone())));
            }
            stage.done = done + 1;
            self.save(stage, shadow).await?;
        }
        Ok(())
    }

    /// The versions that are kept afterwards: pruned once, beside what HEAD and the names became.
    fn pruned_after(&self, stage: &Stage, shadow: Shadow<'_, S>) -> Versions {
        let Learner { mut versions, past, .. } = shadow.learner;
        if let Some(head) = stage.head.as_ref().unwrap_or(&self.head) {
            let mut names = self.names.clone();
            for to in names.tags.values_mut().chain(names.branches.values_mut()) {
                let became = to.as_ref().and_then(|id| stage.became.get(id));
                *to = became.cloned().unwrap_or_else(|| to.clone());
            }
            let past = past.values().map(|past| past.example.id.clone());
            let kept = shadow.examples.into_keys().chain(past).collect();
            prune(&mut versions, (head, self.ancestors), &names, &kept);
        }
        versions
    }

    /// Moves every name, deletes the text and writes the line, all at once.
    async fn conclude_forgetting(
        &mut self,
        stage: Stage,
        versions: &Versions,
    ) -> LearnResult<ForgetReport> {
        let id = &stage.example;
        let saw = self.saw(id);
        let to = stage.head.clone().unwrap_or_else(|| self.head.clone());
        let (examples, _) = self.without(id);
        let mut writes = self.renaming(&|from| stage.became.get(from).cloned());
        writes.extend(self.head_writes(&to));
        writes.extend(self.erasure(id, &saw));
        writes.extend(self.changed(&weighed(&examples, versions, to.as_deref())));
        if stage.head.is_some() {
            writes.extend(self.requarantined(&stage.quarantine));
        }
        for gone in self.versions.keys().filter(|id| !versions.contains_key(*id)) {
            writes.push(Write::delete(Table::Versions, gone));
            writes.push(Write::delete(Table::Cache, scores_key(gone)));
        }
        let records = records_of(&stage);
        for version in versions.keys().chain(&to) {
            for key in [(Table::Versions, version.clone()), (Table::Cache, scores_key(version))] {
                let wanted = key.0 == Table::Versions || to.as_ref() == Some(version);
                if let (true, Some(Some(value))) = (wanted, records.get(&key)) {
                    writes.push(Write::put(key.0, key.1, value.clone()));
                }
            }
        }
        let mut pruned = versions.pruned().clone();
        pruned.retain(|id, _| versions.values().any(|v| v.parents().any(|parent| parent == id)));
        writes.push(pruned_write(&pruned));
        let note = match stage.cycles {
            0 => format!("example {id} forgotten; nothing had learned from it"),
            cycles => format!("example {id} forgotten; {cycles} cycles ran again without it"),
        };
        let adapter = to.as_ref().and_then(|id| Some(versions.get(id)?.adapter.clone()));
        let (examples, renamed) = (vec![id.clone()], stage.became.clone());
        let line = Line::new(Action::Forget, to, note);
        self.commit(writes, Line { adapter, examples, renamed, ..line }).await?;
        let dropped = saw.iter().filter(|id| !stage.became.contains_key(*id)).cloned().collect();
        self.reload().await?;
        // All of them were written anew.
        self.compress_ancestors(usize::MAX).await;
        let Stage { example, became, cycles, doubts, .. } = stage;
        Ok(ForgetReport { example, became, dropped, cycles, head: self.head.clone(), doubts })
    }

    async fn shadow<'a>(
        &'a self,
        id: &str,
        saw: &BTreeSet<String>,
        stage: &Stage,
    ) -> LearnResult<Shadow<'a, S>> {
        let mut records: Records =
            saw.iter().map(|id| ((Table::Versions, id.clone()), None)).collect();
        for Write { table, key, value } in self.erasure(id, saw) {
            if table == Table::Refs {
                records.insert((table, key), value);
            }
        }
        records.extend(records_of(stage));
        let now = Rc::new(Cell::new(0));
        let clock: Clock = Box::new({
            let now = Rc::clone(&now);
            move || now.get()
        });
        let (examples, past) = self.without(id);
        let mut learner = Learner {
            store: Overlay::new(&self.store, records),
            clock,
            seed: self.seed,
            suites: self.suites.clone(),
            examples: BTreeMap::new(),
            past: past.iter().map(|past| (past.key(), past.clone())).collect(),
            quarantine: stage.set_aside.clone(),
            versions: Versions::default(),
            head: stage.at.clone(),
            names: Names { current: None, ..self.names.clone() },
            journal: stage.journal.clone(),
            chain: Chain::default(),
            // What one name's line does not need, another's may.
            ancestors: usize::MAX,
            // A step of the stage is a cycle.
            pace: Pace::Never,
            checkpoint: None,
            warnings: Vec::new(),
        };
        learner.load_versions().await?;
        learner.load_pruned().await?;
        Ok(Shadow { learner, now, examples, past })
    }

    /// What an earlier call came to, if nothing happened since; else a beginning.
    async fn stage(&self, id: &str) -> LearnResult<Stage> {
        let record = self.store.get(Table::Refs, STAGE).await?;
        let kept: Option<Stage> = record.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let fits = |stage: &Stage| stage.example == id && stage.chain == self.chain.hash;
        let fresh =
            Stage { example: id.into(), chain: self.chain.hash.clone(), ..Stage::default() };
        Ok(kept.filter(fits).unwrap_or(fresh))
    }

    async fn save(&self, stage: &mut Stage, shadow: &Shadow<'_, S>) -> LearnResult<()> {
        let text = |value: Vec<u8>| String::from_utf8(value).expect("records are JSON");
        let records = shadow.learner.store.records().into_iter();
        stage.records = records
            .map(|((table, key), value)| (table.name().to_string(), key, value.map(text)))
            .collect();
        stage.at = shadow.learner.head.clone();
        stage.journal = shadow.learner.journal.clone();
        stage.set_aside = shadow.learner.quarantine.clone();
        Ok(self.store.apply(&[Write::put(Table::Refs, STAGE, json(stage))]).await?)
    }

    /// The blobs of versions that are rebuilt, but not named yet.
    pub(super) async fn staged_blobs(&self) -> LearnResult<Vec<String>> {
        let record = self.store.get(Table::Refs, STAGE).await?;
        let stage: Option<Stage> = record.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let Some(stage) = stage.filter(|stage| stage.chain == self.chain.hash) else {
            return Ok(Vec::new());
        };
        let records = records_of(&stage);
        let versions = records.iter().filter(|((table, _), _)| *table == Table::Versions);
        let versions =
            versions.filter_map(|((_, id), record)| Version::from_record(id, record.as_ref()?));
        Ok(versions.flat_map(|version| version.blobs().collect::<Vec<_>>()).collect())
    }
}

impl<S: Store> Shadow<'_, S> {
    /// Goes to where a script starts.
    fn begin(
        &mut self,
        script: &Script,
        before: Vec<JournalEntry>,
        quarantine: BTreeMap<String, Quarantined>,
    ) {
        self.learner.head = script.start.clone();
        self.learner.journal = before;
        self.learner.quarantine = quarantine;
    }

    /// Lives one step; whether a cycle ran.
    async fn step(
        &mut self,
        student: &mut dyn Student,
        Step { entry, run }: &Step,
        options: &LearnOptions,
        quarantine: &BTreeMap<String, Quarantined>,
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<bool> {
        let examples = self.taught_before(entry.number);
        let learner = &mut self.learner;
        if !run {
            let from = learner.head.clone();
            learner.journal.push(JournalEntry { from, ..entry.clone() });
            return Ok(false);
        }
        self.now.set(entry.at_ms);
        learner.chain.number = entry.number - 1;
        learner.seed = entry.cycle.as_ref().map_or(learner.seed, |cycle| cycle.seed);
        learner.examples = weighed(&examples, &learner.versions, learner.head.as_deref());
        // A person's word is lived again as it was given, not found again.
        let by_hand = |q: &Quarantined| q.reason == Quarantined::BY_HAND && q.since < entry.number;
        for (id, held) in quarantine.iter().filter(|(_, q)| by_hand(q)) {
            if examples.contains_key(id) {
                learner
                    .quarantine
                    .entry(id.clone())
                    .or_insert_with(|| Quarantined { released: false, ..held.clone() });
            }
        }
        let then = |q: &Quarantined| q.released && q.released_since < entry.number;
        for (id, released) in quarantine.iter().filter(|(_, q)| then(q)) {
            // Without a reason, a person vouched for it before anything was found.
            let vouched = released.reason.is_empty() && examples.contains_key(id);
            if vouched || learner.quarantine.contains_key(id) {
                learner.quarantine.insert(id.clone(), released.clone());
            }
        }
        if learner.pending().is_empty() {
            return Ok(false);
        }
        match learner.learn(student, options, events).await {
            // It diverged then, or would have.
            Ok(_) | Err(LearnError::Diverged { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The examples that were there when a line of the journal was written.
    fn taught_before(&self, line: u64) -> BTreeMap<String, Example> {
        let current = self.examples.values().filter(|example| example.since < line);
        let past = self.past.iter().filter(|past| past.until >= line).map(|past| &past.example);
        let past = past.filter(|example| example.since < line);
        past.chain(current).map(|example| (example.id.clone(), example.clone())).collect()
    }
}

/// The records beside the store.
fn records_of(stage: &Stage) -> Records {
    let named = |name: &str| Table::ALL.into_iter().find(|table| table.name() == name);
    let records = stage.records.iter().filter_map(|(table, key, value)| {
        let value = value.as_ref().map(|text| text.clone().into_bytes());
        Some(((named(table)?, key.clone()), value))
    });
    records.collect()
}
