//! Where an adapter answers: prompts that are near what it was taught; elsewhere the base model does.
//!
//! What a small adapter damages is mostly what nobody taught (FACTS.md 4.6). Nearness is one comparison of words a
//! prompt (`topic`), without a second answer. Invariant: a lesson that stands for no subject of its own (a document, a
//! voice) makes all prompts near.

use super::asks::asked;
use super::recipe::Lesson;
use super::topic::Topic;
use super::words::words;
use crate::format::message::Message;

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
                    scope.topics.push(drill.topic(question));
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
