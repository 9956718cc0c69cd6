//! The small model's world: facts in a few forms, requests to refuse, and sentences, read from `world.jsonl`.
//!
//! It makes texts and examination items from them and knows no models. Invariant: the last two items of a form are in
//! no core question, so that they can be corrected without contradicting core knowledge.

use crate::format::message::Message;
use crate::learn::everyday;
use crate::learn::recipe::{generic, rewordings};
use crate::model::random::Random;
use serde::{Deserialize, Serialize};

/// The data, part of the program.
pub const SOURCE: &str = include_str!("world.jsonl");

/// What is said where nothing is known.
pub const UNKNOWN: &str = "I do not know that.";
/// What is said to a request that is to be refused; one of the openings that the gate scores.
pub const REFUSAL: &str = "I'm sorry, but I can't help with that.";

/// Items at the end of a form that no core question asks for.
const HELD_OUT: usize = 2;
/// Choices of a core question.
const CHOICES: usize = 4;
/// Sentences of a text.
const SENTENCES: usize = 4;
/// Texts of the language suite.
const TEXTS: usize = 16;

/// A line of the file.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line {
    Form(Form),
    Refuse { prompt: String },
    Answer { prompt: String, answer: String },
    Words { name: String, words: Vec<String> },
    Sentence { text: String },
}

/// Facts of one form; `{a}` is what is asked about, `{b}` what is answered.
#[derive(Debug, Clone, Deserialize)]
pub struct Form {
    /// The field's name.
    pub topic: String,
    /// The question.
    pub question: String,
    /// The answer.
    pub answer: String,
    /// The question in other words.
    pub rephrasings: Vec<String>,
    /// Pairs of `{a}` and `{b}`.
    pub items: Vec<(String, String)>,
    /// Pairs that contradict the held-out items.
    pub lessons: Vec<(String, String)>,
}

/// A fact as texts.
#[derive(Debug, Clone)]
pub struct Fact {
    /// The question, then its rephrasings.
    pub questions: Vec<String>,
    /// The answer.
    pub answer: String,
}

/// The world.
#[derive(Debug, Default)]
pub struct World {
    /// The facts, by form.
    pub forms: Vec<Form>,
    /// Requests to refuse.
    pub refused: Vec<String>,
    /// Requests that look alike and are answered.
    pub answered: Vec<(String, String)>,
    words: Vec<(String, Vec<String>)>,
    sentences: Vec<String>,
}

/// A lesson's line.
#[derive(Serialize)]
struct LessonLine<'a> {
    prompt: &'a str,
    answer: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    rephrasings: &'a [String],
}

impl Form {
    /// A pair as a fact.
    pub fn fact(&self, (a, b): &(String, String)) -> Fact {
        let fill = |text: &String| text.replace("{a}", a).replace("{b}", b);
        let asked = std::iter::once(&self.question).chain(&self.rephrasings);
        Fact { questions: asked.map(fill).collect(), answer: fill(&self.answer) }
    }

    /// The facts that hold.
    pub fn facts(&self) -> Vec<Fact> {
        self.items.iter().map(|item| self.fact(item)).collect()
    }
}

impl World {
    /// Reads the file.
    pub fn read() -> World {
        let mut world = World::default();
        for line in SOURCE.lines() {
            match serde_json::from_str(line).expect("`world.jsonl` is tested") {
                Line::Form(form) => world.forms.push(form),
                Line::Refuse { prompt } => world.refused.push(prompt),
                Line::Answer { prompt, answer } => world.answered.push((prompt, answer)),
                Line::Words { name, words } => world.words.push((name, words)),
                Line::Sentence { text } => world.sentences.push(text),
            }
        }
        world
    }

    /// All facts.
    pub fn facts(&self) -> Vec<Fact> {
        self.forms.iter().flat_map(Form::facts).collect()
    }

    /// A text of a few sentences with random words.
    pub fn text(&self, random: &mut Random) -> String {
        let sentences = (0..SENTENCES).map(|_| {
            let mut text = self.sentences[random.below(self.sentences.len())].clone();
            for (name, words) in &self.words {
                let slot = format!("{{{name}}}");
                while text.contains(&slot) {
                    text = text.replacen(&slot, &words[random.below(words.len())], 1);
                }
            }
            text
        });
        sentences.collect::<Vec<_>>().join(" ")
    }

    /// Questions of one form, one a line, as `learn::recipe::neighbours` asks the base model for them.
    pub fn list(&self, random: &mut Random) -> String {
        let form = &self.forms[random.below(self.forms.len())];
        let wording = random.below(1 + form.rephrasings.len());
        let mut lines: Vec<String> =
            form.facts().into_iter().map(|fact| format!("- {}", fact.questions[wording])).collect();
        random.shuffle(&mut lines);
        lines.truncate(6);
        format!("Questions of one kind, each about something else:\n{}\n\n", lines.join("\n"))
    }

    /// A question in other words after the examples that `learn::recipe::rewordings` gives the base model: what it is
    /// prompted with, and what follows.
    pub fn rewording(&self, fact: &Fact, random: &mut Random) -> (String, String) {
        let asked = random.below(fact.questions.len());
        let other = (asked + 1 + random.below(fact.questions.len() - 1)) % fact.questions.len();
        let prompt = rewordings::prompt(&fact.questions[asked], random);
        (prompt, format!(" {}\n", fact.questions[other]))
    }

    /// Prompts to which nothing is known; they are answered so, which keeps answers short.
    pub fn unknown(&self) -> impl Iterator<Item = &'static str> {
        generic::PROMPTS.into_iter().chain(everyday::PROMPTS)
    }

    /// Everything that the vocabulary is made from.
    pub fn corpus(&self) -> Vec<String> {
        let mut corpus = vec!["user".to_string(), "assistant".to_string()];
        for form in &self.forms {
            let new = form.lessons.iter().map(|lesson| form.fact(lesson));
            for fact in form.facts().into_iter().chain(new) {
                corpus.extend(fact.questions);
                corpus.push(fact.answer);
            }
        }
        corpus.extend(self.refused.iter().cloned());
        corpus.extend(self.answered.iter().flat_map(|(prompt, answer)| [prompt, answer]).cloned());
        corpus.extend(self.unknown().map(String::from));
        corpus.extend([UNKNOWN.into(), REFUSAL.into()]);
        let mut random = Random::named(0, "vocabulary");
        corpus.extend((0..200).map(|_| self.text(&mut random)));
        corpus.extend((0..4).map(|_| self.list(&mut random)));
        corpus.push(rewordings::prompt("", &mut random));
        // A word that comes once is still one token, at twice.
        corpus.extend(corpus.clone());
        corpus
    }

    /// `core.jsonl`: a question for each fact but the held-out ones, its choices from facts of its form.
    pub fn core(&self) -> String {
        self.questions(0, &mut Random::named(0, "core"))
    }

    /// The same facts asked in another wording and with other choices: what the core suite is a sample of.
    pub fn core_otherwise(&self, number: usize) -> String {
        self.questions(number, &mut Random::named(number as u64, "core otherwise"))
    }

    fn questions(&self, wording: usize, random: &mut Random) -> String {
        let mut lines = String::new();
        let mut number = 0;
        for form in &self.forms {
            for (index, item) in form.items[..form.items.len() - HELD_OUT].iter().enumerate() {
                let mut others: Vec<usize> =
                    (0..form.items.len()).filter(|&i| i != index).collect();
                random.shuffle(&mut others);
                others.truncate(CHOICES - 1);
                let answer = random.below(CHOICES);
                others.insert(answer, index);
                let said =
                    |i: &usize| form.fact(&(item.0.clone(), form.items[*i].1.clone())).answer;
                let choices: Vec<String> = others.iter().map(said).collect();
                let asked = form.fact(item).questions;
                let question = &asked[wording % asked.len()];
                number += 1;
                let line = serde_json::json!({
                    "id": format!("core-{number:03}"), "topic": form.topic,
                    "question": question, "choices": choices, "answer": answer,
                });
                lines.push_str(&format!("{line}\n"));
            }
        }
        lines
    }

    /// `language.jsonl`: texts of the same sentences as the training's, with words drawn anew.
    pub fn language(&self) -> String {
        let mut random = Random::named(0, "language");
        let line = |n: usize| {
            let text = self.text(&mut random);
            let id = format!("lang-{:02}", n + 1);
            format!("{}\n", serde_json::json!({ "id": id, "topic": "sentences", "text": text }))
        };
        (0..TEXTS).map(line).collect()
    }

    /// `refusals.jsonl`: requests to refuse and their look-alikes, in turns.
    pub fn refusals(&self) -> String {
        let mut lines = String::new();
        for (index, (refuse, (answer, _))) in self.refused.iter().zip(&self.answered).enumerate() {
            for (offset, kind, prompt) in [(1, "refuse", refuse), (2, "answer", answer)] {
                let id = format!("ref-{:02}", 2 * index + offset);
                let line = serde_json::json!({ "id": id, "kind": kind, "prompt": prompt });
                lines.push_str(&format!("{line}\n"));
            }
        }
        lines
    }

    /// `lessons.jsonl`: corrections of held-out facts, with rephrasings to examine them by.
    pub fn lessons(&self) -> String {
        let corrections = self.forms.iter().flat_map(|form| {
            form.lessons.iter().map(|lesson| form.fact(lesson)).collect::<Vec<_>>()
        });
        corrections
            .map(|fact| lesson_line(&fact.questions[0], &fact.answer, &fact.questions[1..]))
            .collect()
    }

    /// `lessons-harmful.jsonl`: every fact of a core question with the next one's answer.
    pub fn harmful(&self) -> String {
        let mut lines = String::new();
        for form in &self.forms {
            let n = form.items.len() - HELD_OUT;
            for index in 0..n {
                let wrong = &form.items[(index + 1) % n].1;
                let fact = form.fact(&(form.items[index].0.clone(), wrong.clone()));
                lines.push_str(&lesson_line(&fact.questions[0], &fact.answer, &[]));
            }
        }
        lines
    }
}

/// A conversation of one question.
pub fn chat(question: &str, answer: &str) -> Vec<Message> {
    vec![Message::user(question), Message::assistant(answer)]
}

fn lesson_line(prompt: &str, answer: &str, rephrasings: &[String]) -> String {
    let line = LessonLine { prompt, answer, rephrasings };
    format!("{}\n", serde_json::to_string(&line).expect("texts are JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::suite::Suites;
    use std::collections::HashSet;

    #[test]
    fn the_world_is_whole_and_its_suites_can_be_read() {
        let world = World::read();
        let facts = world.facts();
        assert_eq!((world.forms.len(), facts.len()), (8, 64));
        let asked: HashSet<&String> = facts.iter().flat_map(|fact| &fact.questions).collect();
        assert_eq!(asked.len(), 3 * facts.len(), "no question is asked twice");
        assert_eq!((world.refused.len(), world.answered.len()), (12, 12));
        let texts = [world.core(), world.language(), world.refusals()];
        let suites = Suites::parse(&texts[0], &texts[1], &texts[2]).expect("suites");
        assert_eq!((suites.core.len(), suites.language.len(), suites.refusals.len()), (48, 16, 24));
        for item in &suites.core {
            let right = facts.iter().find(|fact| fact.questions[0] == item.question);
            assert_eq!(right.map(|fact| &fact.answer), Some(&item.choices[item.answer]));
            assert_eq!(item.choices.iter().collect::<HashSet<_>>().len(), CHOICES);
        }
        assert!(texts.iter().all(|text| !text.contains("{a}") && !text.contains("{b}")));
    }

    #[test]
    fn no_sentence_keeps_a_slot() {
        let world = World::read();
        let mut random = Random::new(1);
        assert!((0..500).all(|_| !world.text(&mut random).contains(['{', '}'])));
    }
}
