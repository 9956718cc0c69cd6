//! What the user taught: one example, its content's hash, and the files that examples are read from.
//!
//! It knows no model and no clock; times come in. Invariant: an example's id is the hash of its content, so the same
//! content taught twice is one example.

use super::likeness::gist;
use super::student::Passage;
use super::words::words;
use crate::format::error::FormatError;
use crate::format::lessons::{Conversation, read_conversations, split_passages};
use crate::format::message::Message;
use crate::store::sha256_hex;
use serde::{Deserialize, Serialize};

/// Most characters of one example; longer texts are cut into documents first.
pub const CHARS_MAX: usize = 16_000;

/// Characters of one document passage: some 300 tokens, which fits every trainer's row.
pub const DOCUMENT_CHARS: usize = 1_200;

/// Most words of an answer that is a fact: those of the lessons that were measured have 4 to 12, composed notes 21 and more.
const FACT_WORDS: usize = 16;

/// Where an example stands among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The user wrote what should have been answered.
    Correction,
    /// The user liked the model's own answer.
    Approval,
    /// A passage of a text.
    Document,
    /// Made by a program and checked by it.
    Synthetic,
    /// Kept against forgetting; never evicted.
    Anchor,
}

impl Kind {
    /// The kind of this name, as it is stored.
    fn named(name: &str) -> Option<Kind> {
        serde_json::from_value(name.into()).ok()
    }
}

/// A passage as it is stored (`Passage` with a name for each case).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// A conversation; the last message is what is learned.
    Chat(Vec<Message>),
    /// Plain text.
    Text(String),
}

/// An example on its way in.
#[derive(Debug, Clone, PartialEq)]
pub struct NewExample {
    /// Its kind.
    pub kind: Kind,
    /// The text, with what is to be learned.
    pub content: Content,
    /// Where it came from, for a person: `page`, a file's name.
    pub source: String,
    /// The model's answer that a correction replaces.
    pub rejected: Option<String>,
    /// Other ways to ask the same; never trained on, they tell whether it was understood.
    pub rephrasings: Vec<String>,
}

/// A stored example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// First 16 hex digits of the sha256 of the content.
    pub id: String,
    /// Its kind.
    pub kind: Kind,
    /// The text, with what is to be learned.
    pub content: Content,
    /// Where it came from, for a person.
    pub source: String,
    /// When it was taught, milliseconds since 1970.
    pub created_ms: u64,
    /// Cycles that trained on it.
    pub uses: u32,
    /// Weight in replay draws, see `replay::learnability`.
    pub priority: f64,
    /// The lowest loss that was ever measured on it, nats a token.
    pub loss_best: Option<f64>,
    /// The depth of the version that measured its loss last, or of HEAD when it was taught.
    #[serde(default)]
    pub measured: u64,
    /// The journal's last line when it was taught.
    #[serde(default)]
    pub since: u64,
    /// It gave up its place in the replay buffer: it is not drawn any more, but still examined.
    #[serde(default)]
    pub retired: bool,
    /// The model's answer that a correction replaces.
    pub rejected: Option<String>,
    /// Other ways to ask the same, never trained on.
    pub rephrasings: Vec<String>,
}

/// An example that another one replaced. It is kept since cycles learned from it: they can be repeated without another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Past {
    /// The example.
    pub example: Example,
    /// The journal's last line when it was replaced.
    pub until: u64,
    /// The example that took its place.
    pub by: String,
}

impl Example {
    /// Whether the content is what it was: its hash is the id.
    pub fn is_intact(&self) -> bool {
        self.id == id_of(&self.content)
    }
}

impl Past {
    /// The beginning of the keys of such records.
    pub const KEYS: &str = "past/";

    /// The key of its record; the same content can be replaced several times.
    pub fn key(&self) -> String {
        format!("{}{}/{:012}", Past::KEYS, self.example.id, self.until)
    }
}

/// Why an example cannot be taught.
#[derive(Debug, thiserror::Error)]
pub enum ExampleError {
    /// Nothing to learn.
    #[error("{0}: the text to learn is empty")]
    Empty(String),
    /// Over the limit.
    #[error(
        "{0}: {1} characters; an example may have {CHARS_MAX}, teach longer texts as documents"
    )]
    Long(String, usize),
    /// A conversation must end with an answer.
    #[error("{0}: the last message must be the assistant's, after one of the user")]
    Roles(String),
    /// A file that cannot be read as lessons.
    #[error(transparent)]
    File(#[from] FormatError),
    /// A lesson that cannot be taught.
    #[error("{source_name}, line {line}: {reason}")]
    Line {
        /// The file.
        source_name: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// Sources that are a person at the keyboard.
const OWN_SOURCES: [&str; 2] = ["chat", "teach"];

impl Example {
    /// Whether a person gave it, who wrote it or saw what it replaces; the rest came from a file.
    pub fn is_own(&self) -> bool {
        self.rejected.is_some()
            || self.kind == Kind::Approval
            || OWN_SOURCES.contains(&self.source.as_str())
    }
}

impl Content {
    /// The passage, for a student.
    pub fn passage(&self) -> Passage {
        match self {
            Content::Chat(messages) => Passage::Chat(messages.clone()),
            Content::Text(text) => Passage::Text(text.clone()),
        }
    }

    /// The last question and its answer, of a conversation.
    pub fn question_answer(&self) -> Option<(&str, &str)> {
        match self {
            Content::Chat(messages) => match &messages[..] {
                [.., question, answer] => Some((&question.content, &answer.content)),
                _ => None,
            },
            Content::Text(_) => None,
        }
    }

    /// The question and its answer, where the answer is short enough to be asked for. What is longer is composed, as a letter
    /// is, in one of many right ways: it is learned as a text is, by what the model expects of it.
    pub fn fact(&self) -> Option<(&str, &str)> {
        self.question_answer().filter(|(_, answer)| words(answer).len() <= FACT_WORDS)
    }

    /// The conversation up to its last question, which is replaced by `question`.
    pub fn asking(&self, question: &str) -> Vec<Message> {
        let Content::Chat(messages) = self else { return vec![Message::user(question)] };
        let mut asked = messages[..messages.len() - 1].to_vec();
        if let Some(last) = asked.last_mut() {
            last.content = question.to_string();
        }
        asked
    }

    /// What is asked, in a form that ignores case, spaces, punctuation and articles: two chats of one prompt exclude each
    /// other.
    pub fn prompt_key(&self) -> Option<String> {
        let Content::Chat(messages) = self else { return None };
        let asked = &messages[..messages.len() - 1];
        let lines: Vec<String> =
            asked.iter().map(|m| format!("{}: {}", m.role, gist(&m.content))).collect();
        Some(lines.join("\n"))
    }

    /// The whole content, in a form that ignores case, spaces and punctuation.
    pub fn text_key(&self) -> String {
        match self {
            Content::Chat(messages) => {
                let lines = messages.iter().map(|m| format!("{}: {}", m.role, m.content.trim()));
                lines.collect::<Vec<_>>().join("\n").to_lowercase()
            }
            Content::Text(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        }
    }
}

impl NewExample {
    /// A correction: the answer that should have been given.
    pub fn correction(prompt: &str, answer: &str, rejected: Option<String>) -> Self {
        Self {
            kind: Kind::Correction,
            content: Content::Chat(vec![Message::user(prompt), Message::assistant(answer)]),
            source: "teach".into(),
            rejected,
            rephrasings: Vec::new(),
        }
    }

    /// The id that the example will have.
    pub fn id(&self) -> String {
        id_of(&self.content)
    }

    /// Checks the limits and the roles.
    pub fn check(&self) -> Result<(), ExampleError> {
        let (learned, chars) = match &self.content {
            Content::Text(text) => (text, text.chars().count()),
            Content::Chat(messages) => {
                let roles: Vec<&str> = messages.iter().map(|m| m.role.as_str()).collect();
                let [.., "user", "assistant"] = &roles[..] else {
                    return Err(ExampleError::Roles(self.source.clone()));
                };
                let chars = messages.iter().map(|m| m.content.chars().count()).sum();
                (&messages[messages.len() - 1].content, chars)
            }
        };
        if learned.trim().is_empty() {
            return Err(ExampleError::Empty(self.source.clone()));
        }
        if chars > CHARS_MAX {
            return Err(ExampleError::Long(self.source.clone(), chars));
        }
        Ok(())
    }

    /// The example as it is stored, taught at `now_ms`, with its first weight in replay draws.
    pub fn stored(self, now_ms: u64, priority: f64) -> Example {
        Example {
            id: self.id(),
            kind: self.kind,
            content: self.content,
            source: self.source,
            created_ms: now_ms,
            uses: 0,
            priority,
            loss_best: None,
            measured: 0,
            since: 0,
            retired: false,
            rejected: self.rejected,
            rephrasings: self.rephrasings,
        }
    }
}

/// First 16 hex digits of the sha256 of a content.
fn id_of(content: &Content) -> String {
    let content = serde_json::to_vec(content).expect("messages and text are plain JSON");
    sha256_hex(&content)[..16].to_string()
}

/// Reads lessons, one JSON object a line: `{"prompt","answer","rephrasings"?,"rejected"?,"kind"?}` or
/// `{"messages":[..]}` in the place of prompt and answer.
pub fn lessons(jsonl: &str, source: &str) -> Result<Vec<NewExample>, ExampleError> {
    let example = |read: Conversation| {
        let line = read.line;
        let fail = |reason| ExampleError::Line { source_name: source.into(), line, reason };
        let kind = match &read.kind {
            None => Kind::Correction,
            Some(name) => Kind::named(name).ok_or_else(|| {
                let known = "correction, approval, document, synthetic or anchor";
                fail(format!("the kind {name:?} is unknown; use {known}"))
            })?,
        };
        let example = NewExample {
            kind,
            content: Content::Chat(read.messages),
            source: source.into(),
            rejected: read.rejected,
            rephrasings: read.rephrasings,
        };
        example.check().map_err(|error| fail(error.to_string()))?;
        Ok(example)
    };
    read_conversations(source, jsonl)?.into_iter().map(example).collect()
}

/// Cuts a text into document passages of at most `DOCUMENT_CHARS`, at paragraph or line ends where there are any.
pub fn documents(text: &str, source: &str) -> Vec<NewExample> {
    let passages = split_passages(text, DOCUMENT_CHARS).into_iter();
    passages
        .map(|passage| NewExample {
            kind: Kind::Document,
            content: Content::Text(passage.into()),
            source: source.into(),
            rejected: None,
            rephrasings: Vec::new(),
        })
        .collect()
}
