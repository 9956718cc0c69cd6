//! The suites: what a model is examined on, how their files are read, and which items a quick look takes.
//!
//! It knows no model. Invariant: an item's key holds a hash of its content, so a cached score never outlives a
//! change of the item.

use super::everyday::Told;
use super::example::{Content, Example};
use super::gate::SuiteKind;
use super::scope::Scope;
use super::student::Passage;
use super::words::{normalized, words};
use crate::format::message::Message;
use crate::store::sha256_hex;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A multiple-choice question.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CoreItem {
    /// Its name.
    pub id: String,
    /// Its field.
    pub topic: String,
    /// What is asked.
    pub question: String,
    /// The choices.
    pub choices: Vec<String>,
    /// The right choice's index.
    pub answer: usize,
}

/// A neutral text.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TextItem {
    /// Its name.
    pub id: String,
    /// Its field.
    pub topic: String,
    /// The text.
    pub text: String,
}

/// What is right to do with a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Duty {
    /// It is to be refused.
    Refuse,
    /// It is to be answered, however it looks.
    Answer,
}

/// A prompt that is to be refused, or that only looks so.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RefusalItem {
    /// Its name.
    pub id: String,
    /// What is right.
    pub kind: Duty,
    /// The prompt.
    pub prompt: String,
}

/// The suites that come with the program.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Suites {
    /// Core knowledge.
    pub core: Vec<CoreItem>,
    /// Neutral text.
    pub language: Vec<TextItem>,
    /// Refusals.
    pub refusals: Vec<RefusalItem>,
}

/// A line of a suite's file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("suite {suite}, line {line}: {reason}")]
pub struct SuiteError {
    suite: &'static str,
    line: usize,
    reason: String,
}

/// One item of an examination, as it is scored.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Name of the score in caches: where the item comes from and a hash of its content.
    pub key: String,
    /// What is done.
    pub task: Task,
}

/// What is done with an item.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// The choices' log-likelihoods are compared.
    Choose(CoreItem),
    /// The loss of a text, or of a long answer, is measured.
    Read(Passage),
    /// A refusal's likelihood is compared with a compliant opening's.
    Refuse(RefusalItem),
    /// The taught answer's loss is measured, and whether the free-running answer says it.
    Say {
        /// The conversation with the taught answer.
        content: Content,
        /// The question as it was taught, where `content` asks in other words.
        lesson: String,
        /// The answer that a correction replaced.
        rejected: Option<String>,
    },
    /// The loss of the base's own answer is measured, and whether the free-running answer has collapsed.
    Speak(Told),
    /// How much there is to choose from at each word of an answer that is drawn by chance.
    Wander(Told),
}

impl Item {
    /// Whether an adapter of this scope answers the item.
    pub fn is_in(&self, scope: &Scope) -> bool {
        let asks = |text: &str| scope.holds_everything() || scope.is_near(text);
        match &self.task {
            Task::Choose(item) => asks(&item.question),
            Task::Refuse(item) => asks(&item.prompt),
            Task::Read(Passage::Text(text)) | Task::Say { content: Content::Text(text), .. } => {
                scope.covers_text(text)
            }
            Task::Read(Passage::Chat(messages))
            | Task::Say { content: Content::Chat(messages), .. } => scope.covers(messages),
            Task::Speak(told) | Task::Wander(told) => scope.covers(&told.messages),
        }
    }
}

impl Suites {
    /// The suites of `suites/`.
    pub fn built_in() -> Suites {
        let parsed = Suites::parse(
            include_str!("../../suites/core.jsonl"),
            include_str!("../../suites/language.jsonl"),
            include_str!("../../suites/refusals.jsonl"),
        );
        parsed.expect("the files are checked by a test")
    }

    /// Reads the three suites from JSON lines.
    pub fn parse(core: &str, language: &str, refusals: &str) -> Result<Suites, SuiteError> {
        let suites = Suites {
            core: lines("core", core)?,
            language: lines("language", language)?,
            refusals: lines("refusals", refusals)?,
        };
        for (index, item) in suites.core.iter().enumerate() {
            if item.choices.len() < 2 || item.answer >= item.choices.len() {
                let reason = format!("answer {} of {} choices", item.answer, item.choices.len());
                return Err(SuiteError { suite: "core", line: index + 1, reason });
            }
        }
        Ok(suites)
    }

    /// The items of the built-in suites.
    pub fn items(&self) -> BTreeMap<SuiteKind, Vec<Item>> {
        let core = self.core.iter().map(|item| {
            let key = key("core", &item.id, &format!("{item:?}"));
            Item { key, task: Task::Choose(item.clone()) }
        });
        let language = self.language.iter().map(|item| {
            let key = key("language", &item.id, &item.text);
            Item { key, task: Task::Read(Passage::Text(item.text.clone())) }
        });
        let refusals = self.refusals.iter().map(|item| {
            let key = key("refusals", &item.id, &format!("{item:?}"));
            Item { key, task: Task::Refuse(item.clone()) }
        });
        let mut suites = BTreeMap::from([
            (SuiteKind::Core, core.collect::<Vec<_>>()),
            (SuiteKind::Language, language.collect()),
            (SuiteKind::Refusals, refusals.collect()),
        ]);
        suites.retain(|_, items| !items.is_empty());
        suites
    }

    /// The core question that a lesson contradicts: the same question with another answer than the right choice.
    pub fn contradicted(&self, content: &Content) -> Option<&CoreItem> {
        let (question, answer) = content.question_answer()?;
        let (question, given) = (normalized(question), format!(" {} ", normalized(answer)));
        self.core.iter().find(|item| {
            let right = normalized(&item.choices[item.answer]);
            normalized(&item.question) == question && !given.contains(&format!(" {right} "))
        })
    }
}

/// The items of the user's own suites: what is taught now and what was learned earlier.
pub fn user_items(taught: &[&Example], kept: &[&Example]) -> BTreeMap<SuiteKind, Vec<Item>> {
    let mut suites: BTreeMap<SuiteKind, Vec<Item>> = BTreeMap::new();
    let groups = [
        (taught, SuiteKind::Taught, SuiteKind::Documents),
        (kept, SuiteKind::Kept, SuiteKind::KeptDocuments),
    ];
    for (examples, lessons, documents) in groups {
        for example in examples {
            let content = &example.content;
            let (kind, task) = match content.fact() {
                Some(_) => (lessons, say(content.clone(), example)),
                None => (documents, Task::Read(content.passage())),
            };
            let key = example_key(&example.id);
            suites.entry(kind).or_default().push(Item { key, task });
            rephrased(example, suites.entry(SuiteKind::Rephrased).or_default());
        }
    }
    suites.retain(|_, items| !items.is_empty());
    suites
}

/// The items of the base's own answers to everyday prompts, and of how much a version has to choose from there.
pub fn everyday_items(own: &[Told]) -> [(SuiteKind, Vec<Item>); 2] {
    let items = |kind: SuiteKind, task: fn(Told) -> Task| {
        let item = |told: &Told| Item {
            key: key(kind.name(), &told.messages[0].content, &format!("{:?}", told.messages)),
            task: task(told.clone()),
        };
        (kind, own.iter().map(item).collect())
    };
    [items(SuiteKind::Everyday, Task::Speak), items(SuiteKind::Variety, Task::Wander)]
}

/// The key of an example's score.
pub fn example_key(id: &str) -> String {
    format!("example/{id}")
}

/// The id of the example whose score has this key.
pub fn example_of(key: &str) -> Option<&str> {
    key.strip_prefix("example/")
}

/// At most `n` of the items, chosen by a hash of seed and key: the same ones in every cycle, and a larger sample
/// contains the smaller.
pub fn sample(items: Vec<Item>, n: Option<usize>, seed: u64) -> Vec<Item> {
    let Some(n) = n.filter(|n| *n < items.len()) else { return items };
    let mut ranked: Vec<(String, Item)> = items
        .into_iter()
        .map(|item| (sha256_hex(format!("{seed}/{}", item.key).as_bytes()), item))
        .collect();
    ranked.sort_by(|a, b| a.0.cmp(&b.0));
    ranked.into_iter().take(n).map(|(_, item)| item).collect()
}

/// Tokens that an answer may take when it is to say `taught`: some more than it needs.
pub fn answer_tokens(taught: &str) -> usize {
    (words(taught).len() * 2 + 12).clamp(16, 128)
}

fn say(content: Content, example: &Example) -> Task {
    let lesson = example.content.question_answer().map(|(question, _)| question.to_string());
    Task::Say { content, lesson: lesson.unwrap_or_default(), rejected: example.rejected.clone() }
}

fn rephrased(example: &Example, items: &mut Vec<Item>) {
    let Some((_, answer)) = example.content.fact() else { return };
    for question in &example.rephrasings {
        let mut messages = example.content.asking(question);
        messages.push(Message::assistant(answer));
        let key = key("rephrased", &example.id, question);
        items.push(Item { key, task: say(Content::Chat(messages), example) });
    }
}

fn key(suite: &str, id: &str, content: &str) -> String {
    format!("{suite}/{id}/{}", &sha256_hex(content.as_bytes())[..8])
}

fn lines<T: serde::de::DeserializeOwned>(
    suite: &'static str,
    text: &str,
) -> Result<Vec<T>, SuiteError> {
    let filled = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parsed = filled.map(|(index, line)| {
        serde_json::from_str(line).map_err(|error| SuiteError {
            suite,
            line: index + 1,
            reason: error.to_string(),
        })
    });
    parsed.collect()
}
