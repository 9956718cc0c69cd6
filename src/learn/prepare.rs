//! What comes before the training: which examples take part, which look harmful, and the drills of each lesson.
//!
//! It knows no gate. Invariant: an example that looks like noise or contradicts core knowledge is set aside with a
//! reason that the user can read and overrule; it is never dropped in silence.

use super::evaluate::{Scores, evaluate, per_token};
use super::everyday;
use super::example::{Content, Example, Kind};
use super::gate::SuiteKind;
use super::keys::{base_key, drill_key, everyday_key, scores_key};
use super::learner::{LearnResult, Learner, Quarantined, json};
use super::recipe::{Drill, Lesson, OwnAnswer, drill, generic};
use super::report::{Event, LearnOptions, Phase};
use super::scope::Scope;
use super::student::{Passage, Question, Student, greedy};
use super::suite::sample;
use super::version::learned;
use super::words::says;
use crate::store::{Store, Table, Write};
use std::collections::HashSet;

/// Most earlier lessons that one cycle examines.
pub const REGRESSIONS_MAX: usize = 256;

/// Earlier lessons that one cycle drills again, however few are new.
const REPAIRS_MIN: usize = 4;

/// Neutral passages that say what loss is usual for the base model.
const USUAL_TEXTS: usize = 12;

/// Nats a token over the usual loss from where on a document counts as noise.
const NOISE_RISE: f64 = 2.0;

/// The usual loss where there is no language suite, nats a token.
const USUAL_LOSS: f64 = 3.5;

/// Mean log-probability a token from where on the base model is sure of its answer: 0.78 a token.
const CONFIDENT: f64 = -0.25;

/// Overturned answers from where on a cycle looks harmful, if they are half of the lessons too.
const OVERTURNED_MIN: usize = 4;

/// Tokens of the base model's own answer to a lesson's question.
const OWN_TOKENS: usize = 32;

/// What a cycle trains on.
#[derive(Debug, Default)]
pub(super) struct Material {
    /// New lessons.
    pub new: Vec<Lesson>,
    /// Earlier ones, for replay.
    pub earlier: Vec<Lesson>,
    /// Those of the earlier ones that HEAD was found not to say any more: drilled again like new ones.
    pub again: Vec<Lesson>,
    /// The number of the cycle.
    pub cycle: u64,
    /// The base's own answers to everyday prompts, to be rehearsed.
    pub generic: Vec<OwnAnswer>,
    /// The same to prompts that are never rehearsed, to be examined.
    pub everyday: Vec<OwnAnswer>,
    /// What was set aside now, with the reasons.
    pub set_aside: Vec<String>,
}

impl Material {
    /// What a run drills until it is said.
    pub fn drilled(&self) -> Vec<Lesson> {
        self.new.iter().chain(&self.again).cloned().collect()
    }

    /// Takes up earlier lessons that HEAD does not say any more, by their ids: as many as are new, and a few at least.
    pub fn repair(&mut self, lost: &HashSet<&str>) {
        let lost = self.earlier.iter().filter(|lesson| lost.contains(lesson.example.id.as_str()));
        self.again = lost.take(self.new.len().max(REPAIRS_MIN)).cloned().collect();
    }
}

impl<S: Store> Learner<S> {
    /// Chooses the examples, sets the harmful ones aside, makes the drills. The base model is in place after it.
    pub(super) async fn prepare(
        &mut self,
        student: &mut dyn Student,
        options: &LearnOptions,
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<Material> {
        student.use_adapter(None, Scope::everything()).await?;
        let mut pending: Vec<Example> = self.pending().into_iter().cloned().collect();
        pending.truncate(options.lessons_max);
        let mut material = Material::default();
        if options.screen {
            for (example, reason) in self.screen(student, &pending).await? {
                let held = Quarantined { reason: reason.clone(), released: false };
                let write = Write::put(Table::Quarantine, &example, json(&held));
                self.store.apply(&[write]).await?;
                pending.retain(|other| other.id != example);
                self.quarantine.insert(example, held);
                events(Event::Warning { message: reason.clone() });
                material.set_aside.push(reason);
            }
        }
        if pending.is_empty() {
            return Ok(material);
        }
        let total = pending.len();
        for (done, example) in pending.into_iter().enumerate() {
            let drill = self.drill_of(student, &example, options).await?;
            material.new.push(Lesson { example, drill });
            events(Event::Phase {
                phase: Phase::Prepare,
                done: Some(done + 1),
                total: Some(total),
                detail: Some("neighbours and other wordings of each lesson".into()),
            });
        }
        material.cycle = self.cycle();
        for example in self.replayable() {
            let drill = self.kept_drill(&example.id, &student.base_hash()).await?;
            material.earlier.push(Lesson { example, drill: drill.unwrap_or_default() });
        }
        material.generic = self.generic(student).await?;
        material.everyday = self.everyday(student).await?;
        Ok(material)
    }

    /// The number of the cycle that is about to end in the journal.
    pub(super) fn cycle(&self) -> u64 {
        self.journal.last().map_or(0, |entry| entry.number) + 1
    }

    /// The examples of the buffer that HEAD has learned.
    fn replayable(&self) -> Vec<Example> {
        self.known().into_iter().filter(|example| !example.retired).cloned().collect()
    }

    /// The examples that a cycle examines HEAD and candidate on, since HEAD has learned them: up to `REGRESSIONS_MAX`, those
    /// whose loss was not measured for longest first, so that each has its turn whatever its loss is.
    pub(super) fn regressions(&self) -> Vec<Example> {
        let mut known = self.known();
        known.sort_by(|a, b| (a.measured, &a.id).cmp(&(b.measured, &b.id)));
        known.truncate(REGRESSIONS_MAX);
        known.into_iter().cloned().collect()
    }

    fn known(&self) -> Vec<&Example> {
        let at = learned(&self.versions, self.head.as_deref());
        let knows = |e: &&Example| at.get(&e.id).is_some_and(|at| *at >= e.created_ms);
        self.examples.values().filter(knows).collect()
    }

    /// Ids of examples that look harmful, with the reasons; the base model is in place. What a person released
    /// is not looked at again.
    async fn screen(
        &mut self,
        student: &mut dyn Student,
        pending: &[Example],
    ) -> LearnResult<Vec<(String, String)>> {
        let mut found = Vec::new();
        let unseen = pending.iter().filter(|example| !self.quarantine.contains_key(&example.id));
        let unseen: Vec<&Example> = unseen.collect();
        let has_text = unseen.iter().any(|e| matches!(e.content, Content::Text(_)));
        let usual = if has_text { self.usual_loss(student).await? } else { USUAL_LOSS };
        for example in unseen {
            let source = &example.source;
            if let Some(item) = self.suites.contradicted(&example.content) {
                let (question, right) = (&item.question, &item.choices[item.answer]);
                let reason = format!(
                    "{source}: the answer to \"{question}\" contradicts core knowledge ({right})"
                );
                found.push((example.id.clone(), reason));
                continue;
            }
            let Content::Text(text) = &example.content else { continue };
            let scores = student.score_passages(&[Passage::Text(text.clone())]).await?;
            let loss = -scores.into_iter().map(per_token).sum::<f64>();
            if loss > usual + NOISE_RISE {
                let reason = format!(
                    "{source}: looks like noise ({loss:.1} nats a token, usual is {usual:.1})"
                );
                found.push((example.id.clone(), reason));
            }
        }
        let known: HashSet<&String> = found.iter().map(|(id, _)| id).collect();
        let rest: Vec<&Example> = pending.iter().filter(|e| !known.contains(&e.id)).collect();
        let overturned = self.overturned(student, &rest).await?;
        found.extend(overturned);
        Ok(found)
    }

    /// Lessons that overturn what the base model says with confidence, if there are many of them: one may be right,
    /// but a user whose lessons mostly contradict what a model is sure of should look again. Where the user saw the
    /// answer and rejected it, that has been done.
    async fn overturned(
        &self,
        student: &mut dyn Student,
        pending: &[&Example],
    ) -> LearnResult<Vec<(String, String)>> {
        let unseen = pending.iter().copied().filter(|e| {
            let blind = e.kind == Kind::Correction && e.rejected.is_none();
            blind && !self.quarantine.contains_key(&e.id) && e.content.question_answer().is_some()
        });
        let unseen: Vec<&Example> = unseen.collect();
        let asked = unseen.iter().filter_map(|e| {
            let (question, _) = e.content.question_answer()?;
            Some((e.content.asking(question), greedy(OWN_TOKENS)))
        });
        let answers = student.answers(&asked.collect::<Vec<_>>()).await?;
        let mut found = Vec::new();
        for (example, answer) in unseen.iter().zip(answers) {
            let Some((question, taught)) = example.content.question_answer() else { continue };
            let own = first_sentence(&answer).to_string();
            if own.is_empty() || says(&own, &[question], taught, None) {
                continue;
            }
            let messages = example.content.asking(question);
            let asked = Question { messages, choices: vec![own.clone()] };
            let scores = student.score_choices(&[asked]).await?;
            if scores.into_iter().flatten().map(per_token).sum::<f64>() >= CONFIDENT {
                let source = &example.source;
                let reason = format!("{source}: \"{question}\": the model is sure of \"{own}\"");
                found.push((example.id.clone(), reason));
            }
        }
        let many = found.len() >= OVERTURNED_MIN && found.len() * 2 >= unseen.len();
        Ok(if many { found } else { Vec::new() })
    }

    /// The base model's median loss on neutral text, nats a token.
    async fn usual_loss(&self, student: &mut dyn Student) -> LearnResult<f64> {
        let items = self.suites.items().remove(&SuiteKind::Language).unwrap_or_default();
        let items = sample(items, Some(USUAL_TEXTS), self.seed);
        let key = base_key(&student.base_hash());
        let mut scores = self.scores(&key).await?;
        let losses = evaluate(student, &items, &mut scores, &mut |_| {}).await?;
        self.store.apply(&[Write::put(Table::Cache, scores_key(&key), json(&scores))]).await?;
        let mut losses: Vec<f64> = losses.iter().map(|score| score.loss).collect();
        losses.sort_by(f64::total_cmp);
        Ok(losses.get(losses.len() / 2).copied().unwrap_or(USUAL_LOSS))
    }

    /// The scores that are stored under a version's id, or under the base model's key.
    pub(super) async fn scores(&self, key: &str) -> LearnResult<Scores> {
        let record = self.store.get(Table::Cache, &scores_key(key)).await?;
        // A cache: what cannot be read is computed again.
        Ok(record.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    async fn drill_of(
        &self,
        student: &mut dyn Student,
        example: &Example,
        options: &LearnOptions,
    ) -> LearnResult<Drill> {
        if let Some(kept) = self.kept_drill(&example.id, &student.base_hash()).await? {
            return Ok(kept);
        }
        let made = drill(student, example, &options.recipe, self.seed).await?;
        self.store.apply(&[Write::put(Table::Cache, drill_key(&example.id), json(&made))]).await?;
        Ok(made)
    }

    pub(super) async fn kept_drill(&self, id: &str, base_hash: &str) -> LearnResult<Option<Drill>> {
        let record = self.store.get(Table::Cache, &drill_key(id)).await?;
        let kept: Option<Drill> = record.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(kept.filter(|drill| drill.base_hash == base_hash))
    }

    async fn generic(&self, student: &mut dyn Student) -> LearnResult<Vec<OwnAnswer>> {
        let key = drill_key(&base_key(&student.base_hash()));
        if let Some(kept) = self.own_answers(&key).await? {
            return Ok(kept);
        }
        let made = generic::own_answers(student).await?;
        self.store.apply(&[Write::put(Table::Cache, key, json(&made))]).await?;
        Ok(made)
    }

    /// The base's own answers to the everyday prompts of the examination; the base must be in place.
    pub(super) async fn everyday(&self, student: &mut dyn Student) -> LearnResult<Vec<OwnAnswer>> {
        let key = everyday_key(&student.base_hash());
        if let Some(kept) = self.own_answers(&key).await? {
            return Ok(kept);
        }
        let made = everyday::own_answers(student).await?;
        self.store.apply(&[Write::put(Table::Cache, key, json(&made))]).await?;
        Ok(made)
    }

    async fn own_answers(&self, key: &str) -> LearnResult<Option<Vec<OwnAnswer>>> {
        let record = self.store.get(Table::Cache, key).await?;
        Ok(record.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }
}

/// The first sentence of an answer, since the rest is what a small model makes up.
fn first_sentence(answer: &str) -> &str {
    let answer = answer.trim();
    let end = answer.find(['\n', '!', '?']).unwrap_or(answer.len());
    let end = answer.find(". ").map_or(end, |stop| end.min(stop + 1));
    answer[..end].trim()
}
