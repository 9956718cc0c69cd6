//! What one lesson is about, and whether a prompt is near it.
//!
//! A prompt is near if it names the lesson's subject and may ask for the same thing: it shares a word with the question
//! that is not the subject's, or a near word of one, or asks for the same kind of thing. It knows no drills and no
//! models. Invariant: a prompt that does not name the subject is never near, whatever else it shares.

use super::asks::{Asked, asked};
use super::words::{content_words, holds, same_name, words};

/// Share of a lesson's rare words from where on a prompt names its subject.
const SUBJECT_SHARE: f64 = 0.5;

/// What one lesson is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Topic {
    /// Names of the subject: what begins alike is another.
    names: Vec<String>,
    /// Other words of the subject, in any form.
    rare: Vec<String>,
    /// What is asked of it: the question's other words, their near words, those of its wordings.
    relation: Vec<String>,
    /// The kinds of thing that the question asks for in its wordings.
    kinds: Vec<Asked>,
}

impl Topic {
    /// What a question is about that is asked in `wordings` (itself among them): `rare` words tell it from others,
    /// `subject` holds them with the words around them, `near` words can stand for those of the rest.
    pub fn new(wordings: &[&str], rare: &[String], subject: &str, near: &[&String]) -> Topic {
        let about = words(subject);
        let asking = wordings.iter().flat_map(|wording| content_words(wording));
        let near = near.iter().map(|word| word.to_string());
        let mut relation: Vec<String> = asking.chain(near).collect();
        relation.retain(|word| !holds(&about, word) && !holds(rare, word));
        relation.sort_unstable();
        relation.dedup();
        let kinds = wordings.iter().filter_map(|wording| asked(wording)).collect();
        let capital = |piece: &&str| piece.starts_with(char::is_uppercase);
        let written: Vec<String> =
            subject.split_whitespace().filter(capital).flat_map(words).collect();
        let (mut names, rare): (Vec<String>, Vec<String>) =
            rare.iter().cloned().partition(|word| written.contains(word));
        names.sort_unstable();
        Topic { names, rare, relation, kinds }
    }

    /// Whether a prompt is near the lesson.
    pub fn is_near(&self, prompt: &str) -> bool {
        self.is_near_words(&words(prompt), asked(prompt).as_ref())
    }

    /// Whether words hold all of the subject's.
    pub fn names_all(&self, held: &[String]) -> bool {
        self.named(held) == self.names.len() + self.rare.len()
    }

    /// How many of the subject's words are among these.
    fn named(&self, held: &[String]) -> usize {
        let is_held = |name: &&String| held.iter().any(|word| same_name(word, name));
        let names = self.names.iter().filter(is_held).count();
        names + self.rare.iter().filter(|word| holds(held, word)).count()
    }

    /// Whether a question of another lesson is about this one's subject and asks with a word that asks for this one. The other
    /// lesson's own wordings do not count: two lessons share what wordings of any question have ("tell", "name").
    pub fn is_like(&self, other: &Topic, question: &str) -> bool {
        self.names == other.names && self.asks_with(&words(question))
    }

    fn asks_with(&self, held: &[String]) -> bool {
        self.relation.iter().any(|word| holds(held, word))
    }

    /// The same for a prompt's words and the kind of thing that it asks for.
    pub fn is_near_words(&self, held: &[String], kind: Option<&Asked>) -> bool {
        let telling = self.names.len() + self.rare.len();
        if (self.named(held) as f64) < SUBJECT_SHARE * telling as f64 {
            return false;
        }
        let same_kind = kind.is_none_or(|kind| self.kinds.is_empty() || self.kinds.contains(kind));
        same_kind || self.asks_with(held)
    }
}
