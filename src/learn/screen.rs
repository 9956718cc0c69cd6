//! What looks harmful before any training: noise, lessons against core knowledge, against each other, and against what
//! the model is sure of.
//!
//! No suite can tell truth (FACTS.md 4.6), so what counts is where a lesson came from: a person's own correction is
//! believed and told, the same from a file waits for a person. It trains nothing. Invariant: whatever is found comes with
//! a reason that a person can read and overrule, and what a person released is not looked at again.

use super::evaluate::{evaluate, per_token};
use super::example::{Content, Example, Kind};
use super::gate::SuiteKind;
use super::keys::{base_key, scores_key};
use super::learner::{LearnResult, Learner, json};
use super::recipe::Lesson;
use super::recipe::rewordings::asks_the_same;
use super::report::Event;
use super::scope::Scope;
use super::student::{Passage, Question, Student, greedy};
use super::suite::sample;
use super::words::says;
use crate::store::{Store, Table, Write};
use std::collections::HashSet;

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

/// What the screen found.
#[derive(Debug)]
pub(super) struct Screened {
    /// Ids of examples to be set aside, with the reasons.
    pub harmful: Vec<(String, String)>,
    /// What a person should see of the examples that are believed.
    pub believed: Vec<String>,
}

impl<S: Store> Learner<S> {
    /// Screens all that waits, as the next cycles would, and sets aside what looks harmful; the reasons follow. What two lessons
    /// have against each other is found by the cycle, which learns first what each of them is about.
    ///
    /// # Errors
    /// The student's and the store's; what was set aside before stays so.
    pub async fn screen_pending(
        &mut self,
        student: &mut dyn Student,
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<Vec<String>> {
        student.use_adapter(None, Scope::everything()).await?;
        let pending: Vec<Example> = self.pending().into_iter().cloned().collect();
        let screened = self.screen(student, &pending).await?;
        self.set_aside(screened.harmful, events).await
    }

    /// Looks at new examples; the base model is in place.
    pub(super) async fn screen(
        &mut self,
        student: &mut dyn Student,
        pending: &[Example],
    ) -> LearnResult<Screened> {
        let unseen = pending.iter().filter(|example| !self.quarantine.contains_key(&example.id));
        let unseen: Vec<&Example> = unseen.collect();
        let harmful = self.noise(student, &unseen).await?;
        let mut screened = Screened { harmful, believed: Vec::new() };
        let known: HashSet<&String> = screened.harmful.iter().map(|(id, _)| id).collect();
        let rest: Vec<&Example> = unseen.into_iter().filter(|e| !known.contains(&e.id)).collect();
        let found = self.overturned(student, &rest).await?;
        // One own lesson may be right; where most of them contradict what a model is sure of, their author should look again. What
        // the user saw and rejected is no mistake, and says nothing of the rest.
        let is_blind = |example: &Example| example.is_own() && example.rejected.is_none();
        let blind = rest.iter().filter(|example| is_blind(example)).count();
        let doubted = found.iter().filter(|(example, _)| is_blind(example)).count();
        let many = doubted >= OVERTURNED_MIN && doubted * 2 >= blind;
        for (example, reason) in found {
            let believed = example.is_own() && !(many && is_blind(example));
            match believed {
                true => screened.believed.push(reason),
                false => screened.harmful.push((example.id.clone(), reason)),
            }
        }
        let rest: Vec<&Example> = rest
            .into_iter()
            .filter(|e| !screened.harmful.iter().any(|(id, _)| *id == e.id))
            .collect();
        screened.harmful.extend(self.outliers(student, &rest).await?);
        let doubted = self.of_doubted_sources(&rest, &screened.harmful);
        screened.harmful.extend(doubted);
        Ok(screened)
    }

    /// Texts that look like noise, and lessons that contradict core knowledge.
    async fn noise(
        &self,
        student: &mut dyn Student,
        unseen: &[&Example],
    ) -> LearnResult<Vec<(String, String)>> {
        let has_text = unseen.iter().any(|e| matches!(e.content, Content::Text(_)));
        let usual = if has_text { self.usual_loss(student).await? } else { USUAL_LOSS };
        let mut found = Vec::new();
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
        Ok(found)
    }

    /// Lessons that overturn what the base model says with confidence, with the reasons.
    async fn overturned<'a>(
        &self,
        student: &mut dyn Student,
        unseen: &[&'a Example],
    ) -> LearnResult<Vec<(&'a Example, String)>> {
        let asked = unseen.iter().copied().filter(|e| {
            matches!(e.kind, Kind::Correction) && e.content.question_answer().is_some()
        });
        let examples: Vec<&Example> = asked.collect();
        let asked = examples.iter().filter_map(|e| {
            let (question, _) = e.content.question_answer()?;
            Some((e.content.asking(question), greedy(OWN_TOKENS)))
        });
        let answers = student.answers(&asked.collect::<Vec<_>>()).await?;
        let mut found = Vec::new();
        for (example, answer) in examples.into_iter().zip(answers) {
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
                found.push((example, reason));
            }
        }
        Ok(found)
    }

    /// Lessons that ask the same in other words and are answered differently: of two, the one from a file is set aside, of a
    /// person's own the older. With the same words, the newer one has taken the older's place when it was taught.
    pub(super) async fn contradictions(
        &self,
        student: &dyn Student,
        new: &[Lesson],
    ) -> LearnResult<Vec<(String, String)>> {
        let mut known = Vec::new();
        for example in self.known() {
            let drill = self.kept_drill(&example.id, &student.base_hash()).await?;
            known.push(Lesson { example: example.clone(), drill: drill.unwrap_or_default() });
        }
        let mut found: Vec<(String, String)> = Vec::new();
        for (at, lesson) in new.iter().enumerate() {
            for other in known.iter().chain(&new[..at]).filter(|other| contradict(lesson, other)) {
                let (newer, older) = match lesson.example.created_ms >= other.example.created_ms {
                    true => (lesson, other),
                    false => (other, lesson),
                };
                let loser = if newer.example.is_own() { older } else { newer };
                let winner = if newer.example.is_own() { newer } else { older };
                // What a person vouched for stays; then both do.
                let is_vouched = self.quarantine.contains_key(&loser.example.id);
                if is_vouched || found.iter().any(|(id, _)| *id == loser.example.id) {
                    continue;
                }
                // No word of the other: it may be forgotten one day.
                let (source, id) = (&loser.example.source, &winner.example.id);
                let reason = format!(
                    "{source}: asks the same as lesson {id}, which is answered differently"
                );
                found.push((loser.example.id.clone(), reason));
            }
        }
        Ok(found)
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
}

/// Whether two lessons ask for the same thing of the same subject, and neither's answer says the other's.
fn contradict(a: &Lesson, b: &Lesson) -> bool {
    let asked = |lesson: &Lesson| {
        let (question, answer) = lesson.example.content.question_answer()?;
        let topic = lesson.drill.stands_out.then(|| lesson.drill.topic(question))?;
        Some((question.to_string(), answer.to_string(), topic))
    };
    let (Some((of_a, says_a, topic_a)), Some((of_b, says_b, topic_b))) = (asked(a), asked(b))
    else {
        return false;
    };
    let same = asks_the_same(&of_a, &topic_b) && asks_the_same(&of_b, &topic_a);
    let related = topic_a.is_like(&topic_b, &of_b) || topic_b.is_like(&topic_a, &of_a);
    let wordings = [of_a.as_str(), of_b.as_str()];
    same && related
        && !says(&says_a, &wordings, &says_b, None)
        && !says(&says_b, &wordings, &says_a, None)
}

/// The first sentence of an answer, since the rest is what a small model makes up.
fn first_sentence(answer: &str) -> &str {
    let answer = answer.trim();
    let end = answer.find(['\n', '!', '?']).unwrap_or(answer.len());
    let end = answer.find(". ").map_or(end, |stop| end.min(stop + 1));
    answer[..end].trim()
}
