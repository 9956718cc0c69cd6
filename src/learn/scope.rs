//! Where an adapter answers: prompts that are near what it was taught; elsewhere the base model does.
//!
//! What a small adapter damages is mostly what nobody taught (FACTS.md 4.6). A prompt is near a lesson if it names the
//! lesson's subject and may ask for the same thing: it shares a word with the question that is not the subject's, or a
//! near word of one, or asks for the same kind of thing. One comparison of words a prompt, no second answer. Invariant:
//! without a scope, or with a lesson that stands for no subject of its own (a document, a voice), all prompts are near.

use super::asks::{Asked, asked};
use super::recipe::{Drill, Lesson};
use super::words::{content_words, holds, words};
use crate::format::message::Message;

/// Share of a lesson's rare words from where on a prompt names its subject.
const SUBJECT_SHARE: f64 = 0.5;

/// What one lesson is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Topic {
    /// Words of the subject.
    rare: Vec<String>,
    /// What is asked of it: the question's other words, their near words, those of its wordings.
    relation: Vec<String>,
    /// The kinds of thing that the question asks for in its wordings.
    kinds: Vec<Asked>,
}

/// The topics of all that an adapter learned.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scope {
    topics: Vec<Topic>,
    open: bool,
}

impl Scope {
    /// The scope that holds every prompt.
    pub fn everything() -> Scope {
        Scope { topics: Vec::new(), open: true }
    }

    /// The scope of an adapter that learned `lessons`.
    pub fn new<'a>(lessons: impl IntoIterator<Item = &'a Lesson>) -> Scope {
        let mut scope = Scope::default();
        for Lesson { example, drill } in lessons {
            match example.content.question_answer() {
                Some((question, _)) if drill.is_about_something() => {
                    scope.topics.push(Topic::new(question, drill));
                }
                _ => scope.open = true,
            }
        }
        scope
    }

    /// Whether no prompt lies outside.
    pub fn holds_everything(&self) -> bool {
        self.open
    }

    /// Whether the adapter answers this conversation: its last question is near a lesson.
    pub fn covers(&self, messages: &[Message]) -> bool {
        let user = messages.iter().rev().find(|message| message.role == "user");
        self.open || user.is_some_and(|user| self.is_near(&user.content))
    }

    /// Whether a prompt is near a lesson.
    pub fn is_near(&self, prompt: &str) -> bool {
        let (held, kind) = (words(prompt), asked(prompt));
        self.topics.iter().any(|topic| topic.is_near_words(&held, kind.as_ref()))
    }
}

impl Topic {
    /// What the question of a lesson is about, as far as its drill tells.
    pub fn new(question: &str, drill: &Drill) -> Topic {
        let wordings: Vec<&String> = drill.forms.iter().chain(&drill.reserved).collect();
        let about = words(&drill.subject);
        let own = content_words(question).into_iter();
        let formed = wordings.iter().flat_map(|wording| content_words(wording));
        let near = drill.swaps.values().flatten().cloned();
        let mut relation: Vec<String> = own.chain(formed).chain(near).collect();
        relation.retain(|word| !holds(&about, word) && !holds(&drill.rare, word));
        relation.sort_unstable();
        relation.dedup();
        let asking = wordings.iter().map(|wording| wording.as_str()).chain([question]);
        Topic { rare: drill.rare.clone(), relation, kinds: asking.filter_map(asked).collect() }
    }

    /// Whether a prompt is near the lesson.
    pub fn is_near(&self, prompt: &str) -> bool {
        self.is_near_words(&words(prompt), asked(prompt).as_ref())
    }

    /// Whether words hold all of the subject's.
    pub fn names_all(&self, held: &[String]) -> bool {
        self.rare.iter().all(|word| holds(held, word))
    }

    fn is_near_words(&self, held: &[String], kind: Option<&Asked>) -> bool {
        let named = self.rare.iter().filter(|word| holds(held, word)).count();
        if (named as f64) < SUBJECT_SHARE * self.rare.len() as f64 {
            return false;
        }
        let same_kind = kind.is_none_or(|kind| self.kinds.is_empty() || self.kinds.contains(kind));
        same_kind || self.relation.iter().any(|word| holds(held, word))
    }
}
