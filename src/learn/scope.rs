//! Where an adapter answers: prompts that are near what it was taught; elsewhere the base model does.
//!
//! What a small adapter damages is mostly what nobody taught (FACTS.md 4.6). Nearness is a comparison of words, without a
//! second answer: a question is near by its subject and what it asks (`topic`), a request by what is to be made
//! (`requests`), a text by its vocabulary. Invariant: only a scope that was opened on purpose holds every prompt.

use super::asks::{Asked, asked};
use super::requests::{Request, requested};
use super::topic::Topic;
use super::vocabulary::Vocabulary;
use super::words::words;
use crate::format::message::Message;

/// What makes a prompt near one lesson.
#[derive(Debug, Clone, PartialEq)]
pub enum About {
    /// It names the lesson's subject and may ask for the same thing.
    Subject(Topic),
    /// It requests the same kind of thing.
    Request(Request),
    /// It is a text of the same kind, or holds one.
    Text(Vocabulary),
    /// It asks nearly in the lesson's words: for questions that name nothing.
    Words(Vec<String>),
}

/// What all lessons of an adapter are about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scope {
    lessons: Vec<About>,
    open: bool,
}

/// A prompt, taken apart once for all comparisons.
struct Prompt {
    words: Vec<String>,
    kind: Option<Asked>,
    request: Option<Request>,
    vocabulary: Vocabulary,
}

impl About {
    /// What is near a request, by what is to be made; near a question, by its subject; where it names none, by its words.
    pub fn question(question: &str, topic: Option<Topic>) -> About {
        match (requested(question), topic) {
            (Some(request), _) => About::Request(request),
            (None, Some(topic)) => About::Subject(topic),
            (None, None) => About::Words(words(question)),
        }
    }

    fn is_near(&self, prompt: &Prompt) -> bool {
        match self {
            About::Subject(topic) => topic.is_near_words(&prompt.words, prompt.kind.as_ref()),
            About::Request(request) => {
                prompt.request.as_ref().is_some_and(|other| other.is_like(request))
            }
            About::Text(vocabulary) => vocabulary.is_near(&prompt.vocabulary),
            About::Words(words) => are_nearly_equal(words, &prompt.words),
        }
    }
}

impl Scope {
    /// The scope that holds every prompt.
    pub fn everything() -> Scope {
        Scope { lessons: Vec::new(), open: true }
    }

    /// The scope of an adapter that learned such lessons.
    pub fn new(lessons: impl IntoIterator<Item = About>) -> Scope {
        Scope { lessons: lessons.into_iter().collect(), open: false }
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

    /// Whether the adapter goes on with a plain text, which asks nothing: it is of the kind of a text that was learned.
    pub fn covers_text(&self, text: &str) -> bool {
        let vocabulary = Vocabulary::of(text);
        let near = |about: &About| match about {
            About::Text(learned) => learned.is_near(&vocabulary),
            _ => false,
        };
        self.open || self.lessons.iter().any(near)
    }

    /// Whether a prompt is near a lesson.
    pub fn is_near(&self, prompt: &str) -> bool {
        let prompt = Prompt {
            words: words(prompt),
            kind: asked(prompt),
            request: requested(prompt),
            vocabulary: Vocabulary::of(prompt),
        };
        self.lessons.iter().any(|about| about.is_near(&prompt))
    }
}

/// Whether the shorter of two wordings keeps at least three words in four of the longer, in any order.
fn are_nearly_equal(a: &[String], b: &[String]) -> bool {
    let (long, short) = if a.len() > b.len() { (a, b) } else { (b, a) };
    let held = long.iter().filter(|word| short.contains(word)).count();
    4 * held >= 3 * long.len() && !short.is_empty()
}
