//! The simulated user's days: teach, learn, look; a line a day.
//!
//! It uses the learner as the command `learn` does, under a clock of its own that ticks once a day, so that the same days give
//! the same versions. Invariant: a day that was begun before a crash is ended, not repeated: what the learner's journal
//! already holds is taken from there.

use super::super::phases::Phases;
use super::arm::Arm;
use super::data::Fact;
use super::exam::{self, Exam};
use super::record::{Line, Results, Spent};
use super::spent::{folder_bytes, peak_bytes};
use super::stream::{Day, Stream};
use crate::error::Error;
use crate::learn::engine::Engine;
use crate::learn::example::{Content, Kind, NewExample};
use crate::learn::learner::{LearnError, Learner};
use crate::learn::report::{Action, JournalEntry};
use crate::learn::suite::{Suites, answer_tokens};
use crate::learn::words::says;
use crate::store::Store;
use std::cell::Cell;
use std::collections::HashSet;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

/// Facts that a whole examination asks, spread over all that were taught.
pub const FACTS_MAX: usize = 120;

/// Promoted facts that are asked again after each cycle.
const KEPT_SAMPLE: usize = 12;

/// Cycles that train on a lesson before the user sets it aside.
const TRIES: u32 = 3;

/// The simulated first day, milliseconds since 1970.
const FIRST_DAY_MS: u64 = 1_800_000_000_000;
const DAY_MS: u64 = 86_400_000;

/// The simulated clock: noon of a day.
#[derive(Clone)]
pub struct DayClock(Rc<Cell<u64>>);

impl DayClock {
    /// A clock at day 0.
    pub fn new() -> Self {
        Self(Rc::new(Cell::new(FIRST_DAY_MS)))
    }

    /// The clock as the learner reads it.
    pub fn reader(&self) -> crate::learn::learner::Clock {
        let cell = self.0.clone();
        Box::new(move || cell.get())
    }

    fn set(&self, day: usize) {
        self.0.set(FIRST_DAY_MS + day as u64 * DAY_MS);
    }
}

impl Default for DayClock {
    fn default() -> Self {
        Self::new()
    }
}

/// How the days are spent.
pub struct Plan<'a> {
    /// The recipe.
    pub arm: Arm,
    /// The last day.
    pub cycles: usize,
    /// Days between two whole examinations.
    pub every: usize,
    /// Most items of a part of a whole examination, but for the facts.
    pub exam_max: Option<usize>,
    /// Learning rate in the place of the recipe's.
    pub lr: Option<f32>,
    /// Most steps in the place of the arm's.
    pub steps: Option<usize>,
    /// Fields of a cycle's options in the place of the arm's.
    pub change: Option<&'a serde_json::Value>,
    /// What is taught.
    pub stream: &'a dyn Stream,
    /// What nobody may lose.
    pub suites: &'a Suites,
    /// The home folder, to be measured.
    pub home: &'a Path,
}

/// A user with a learner and a model.
pub struct User<'a, S: Store> {
    /// The learner.
    pub learner: Learner<S>,
    /// The model.
    pub engine: &'a mut Engine,
    /// The learner's clock.
    pub clock: DayClock,
    /// The plan.
    pub plan: Plan<'a>,
}

/// How a cycle ended.
struct Ended {
    entry: Option<JournalEntry>,
    seconds: f64,
    phases: Phases,
}

impl<S: Store> User<'_, S> {
    /// Lives the days that `results` lacks; `told` hears each line.
    pub async fn live(
        &mut self,
        results: &mut Results,
        told: &mut dyn FnMut(&Line) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.learner.serve(self.engine, self.learner.head()).await?;
        let next = results.lines().last().map_or(0, |line| line.cycle + 1);
        for number in next..=self.plan.cycles {
            self.clock.set(number);
            let line = match self.plan.stream.day(number) {
                _ if number == 0 => self.line(0, None, Ended::nothing()).await?,
                Some(day) => {
                    let ended = self.cycle(&day, results.lines().last()).await?;
                    self.line(number, Some(&day), ended).await?
                }
                None => break,
            };
            told(&line)?;
            results.push(line)?;
        }
        Ok(())
    }

    /// One day's cycle, unless the journal says that it was run since the line `before`.
    async fn cycle(&mut self, day: &Day, before: Option<&Line>) -> Result<Ended, Error> {
        let began = Instant::now();
        let mut phases = Phases::default();
        let before = before.map_or(0, |line| line.journal);
        if self.ended_since(before).is_none() {
            self.give_up().await?;
            self.teach(day).await?;
            if !self.learner.pending().is_empty() {
                let Plan { lr, steps, change, .. } = self.plan;
                let options = self.plan.arm.options(day, (lr, steps), change);
                let options = options.map_err(|e| Error::Misuse(format!("--change: {e}")))?;
                let mut events = |event| phases.hear(&event);
                match self.learner.learn(self.engine, &options, &mut events).await {
                    // A run that diverged is journaled, and HEAD is as it was: the user goes on.
                    Ok(_) | Err(LearnError::Diverged { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let entry = self.ended_since(before).cloned();
        Ok(Ended { entry, seconds: began.elapsed().as_secs_f64(), phases })
    }

    /// The cycle that came to an end after a line of the journal.
    fn ended_since(&self, number: u64) -> Option<&JournalEntry> {
        let ended = |entry: &&JournalEntry| matches!(entry.action, Action::Cycle | Action::Failed);
        self.learner.log().iter().filter(|entry| entry.number > number).find(ended)
    }

    /// Sets aside what some cycles did not learn, so that it holds up nothing else.
    async fn give_up(&mut self) -> Result<(), LearnError> {
        let tired = self.learner.pending().into_iter().filter(|example| example.uses >= TRIES);
        let ids: Vec<String> = tired.map(|example| example.id.clone()).collect();
        for id in ids {
            self.learner.set_aside_by_hand(&id).await?;
        }
        Ok(())
    }

    async fn teach(&mut self, day: &Day) -> Result<(), LearnError> {
        let new = match day {
            Day::Facts(facts) => self.corrections(facts).await?,
            Day::Code(files) => {
                files.iter().flat_map(|file| passages(&file.text, &file.name)).collect()
            }
            Day::Notes(notes) => {
                let note = |note: &super::data::Note| {
                    NewExample::correction(&note.prompt, &note.answer, None)
                };
                notes.iter().map(note).collect()
            }
        };
        self.learner.teach(new).await.map(|_| ())
    }

    /// The user asks, and corrects what is wrong.
    async fn corrections(&mut self, facts: &[Fact]) -> Result<Vec<NewExample>, LearnError> {
        let asked = facts.iter().map(|fact| (fact.prompt.as_str(), answer_tokens(&fact.answer)));
        let answers = exam::ask(self.engine, &asked.collect::<Vec<_>>()).await?;
        let wrong = facts
            .iter()
            .zip(answers)
            .filter(|(fact, answer)| !says(answer, &[&fact.prompt], &fact.answer, None));
        Ok(wrong
            .map(|(fact, answer)| NewExample::correction(&fact.prompt, &fact.answer, Some(answer)))
            .collect())
    }

    /// Ids of the examples that HEAD has learned.
    fn learned(&self) -> HashSet<String> {
        let waiting = self.learner.pending().into_iter();
        let held = self.learner.quarantined().into_iter().map(|(example, _)| example);
        let not: HashSet<&String> = waiting.chain(held).map(|example| &example.id).collect();
        let all = self.learner.examples().into_iter().map(|example| &example.id);
        all.filter(|id| !not.contains(id)).cloned().collect()
    }

    /// Looks at HEAD after a day, and writes down what was seen.
    async fn line(
        &mut self,
        number: usize,
        day: Option<&Day>,
        ended: Ended,
    ) -> Result<Line, Error> {
        let began = Instant::now();
        let learned = self.learned();
        let mut kept: Vec<Fact> = self.plan.stream.facts_after(number);
        kept.retain(|fact| is_learned(&learned, fact));
        let kept = thinned(&kept, KEPT_SAMPLE, number);
        let said = exam::said(self.engine, &kept).await?;
        let adapter = self.learner.head_adapter().await?;
        let last = number == self.plan.cycles || self.plan.stream.day(number + 1).is_none();
        let is_whole = number == 0 || last || number.is_multiple_of(self.plan.every);
        let exam = if is_whole { Some(self.exam(number, &learned).await?) } else { None };
        let latency_ms = match &adapter {
            Some(adapter) if is_whole => Some(exam::latency(self.engine, adapter).await?),
            _ => None,
        };
        let spent = Spent {
            seconds: ended.seconds,
            phases: ended.phases.seconds(),
            exam_seconds: began.elapsed().as_secs_f64(),
            home_bytes: folder_bytes(self.plan.home)?,
            peak_bytes: peak_bytes(),
            latency_ms,
        };
        let report = ended.entry.as_ref().and_then(|entry| entry.report.as_ref());
        Ok(Line {
            cycle: number,
            day: day.map_or("", Day::name).to_string(),
            verdict: report.map(|report| report.verdict),
            reason: ended.entry.as_ref().map_or_else(String::new, |entry| entry.note.clone()),
            taught: report.map_or([0, 0], |report| [report.taught, report.learned]),
            scale: report.map_or(0.0, |report| report.scale),
            pending: self.learner.pending().len(),
            given_up: self.learner.quarantined().len(),
            promoted: learned.len(),
            kept: [kept.len(), said.iter().filter(|said| **said).count()],
            head: self.learner.head().map(|version| version.id.clone()),
            journal: self.learner.log().last().map_or(0, |entry| entry.number),
            versions: self.learner.versions().len(),
            norm: adapter.map_or(0.0, |adapter| norm(&adapter.weights)),
            exam,
            spent,
        })
    }

    /// Examines HEAD on everything; before the first day, on all that the run will teach.
    async fn exam(&mut self, number: usize, learned: &HashSet<String>) -> Result<Exam, Error> {
        let Plan { suites, stream, exam_max, cycles, .. } = &self.plan;
        let horizon = if number == 0 { *cycles } else { number };
        let asked = thinned(&stream.facts_after(horizon), FACTS_MAX, 0);
        let promoted = |fact: &Fact| is_learned(learned, fact);
        let facts = exam::facts(self.engine, &asked, &promoted).await?;
        exam::whole(self.engine, suites, stream.data(), facts, *exam_max).await
    }
}

impl Ended {
    fn nothing() -> Self {
        Self { entry: None, seconds: 0.0, phases: Phases::default() }
    }
}

fn is_learned(learned: &HashSet<String>, fact: &Fact) -> bool {
    learned.contains(&NewExample::correction(&fact.prompt, &fact.answer, None).id())
}

/// A file in parts of one function each, with what stands above the first.
fn passages(text: &str, name: &str) -> Vec<NewExample> {
    let document = |text: &str| NewExample {
        kind: Kind::Document,
        content: Content::Text(text.trim_end().to_string()),
        source: name.to_string(),
        rejected: None,
        rephrasings: Vec::new(),
    };
    text.split("\n\n\n").map(document).collect()
}

/// At most `n` of the items, evenly spread; another `turn` gives others.
fn thinned<T: Clone>(items: &[T], n: usize, turn: usize) -> Vec<T> {
    if items.len() <= n {
        return items.to_vec();
    }
    let stride = items.len() as f64 / n as f64;
    let at = |i: usize| (i as f64 * stride) as usize + turn % (stride as usize).max(1);
    (0..n).map(|i| items[at(i).min(items.len() - 1)].clone()).collect()
}

/// The Euclidean norm.
fn norm(weights: &[f32]) -> f64 {
    weights.iter().map(|&w| f64::from(w) * f64::from(w)).sum::<f64>().sqrt()
}
