//! The recipe by which a candidate is trained: what is drilled beside each lesson, and in which shares.
//!
//! The numbers were measured (FACTS.md 4.6 and 4.7): neighbours of a lesson rehearsed with the base's own
//! distribution protect what plain training destroys; rewordings make the lesson hold in other words. It knows
//! models only as a `Student`. Invariant: nothing of the user's held-out rephrasings enters the training.

pub mod batch;
pub mod forms;
pub mod generic;
pub mod near_misses;
pub mod neighbours;
pub mod rewordings;

use super::example::{Content, Example};
use super::replay::Replay;
use super::scope::About;
use super::student::{Student, StudentResult};
use super::topic::Topic;
use super::vocabulary::Vocabulary;
use crate::format::message::Message;
use crate::model::method::Method;
use crate::model::random::Random;
use crate::train::{Form, Surgery};
use rewordings::Swaps;
use serde::{Deserialize, Serialize};

/// The recipe's numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recipe {
    /// Method of a fresh adapter.
    pub method: Method,
    /// LoRA rank of a fresh adapter.
    pub rank: usize,
    /// LoRA alpha of a fresh adapter.
    pub alpha: f32,
    /// Peak learning rate.
    pub lr: f32,
    /// LoRA+: B learns so many times as fast as A; 1 is plain AdamW.
    pub b_ratio: f32,
    /// Warm-up steps.
    pub warmup: usize,
    /// Global gradient-norm clip.
    pub clip: f32,
    /// Rows that teach or replay, in a batch.
    pub rows: usize,
    /// Rows that protect, in a batch: what the adapter will not answer needs no protection.
    pub protecting: usize,
    /// The same where the adapter answers everything.
    pub protecting_everywhere: usize,
    /// Share of the teaching rows that replay earlier lessons.
    pub replay_share: f64,
    /// How those are drawn.
    pub replay: Replay,
    /// Share of a lesson's draws that ask as taught; the rest ask in other words.
    pub verbatim_share: f64,
    /// Weight of the KL to the base on the protecting rows.
    pub kl_weight: f32,
    /// Where what teaches gives way to what protects.
    pub surgery: Surgery,
    /// The penalty on what earlier learning needs.
    pub ewc: Ewc,
    /// Neighbours a lesson.
    pub neighbours: usize,
    /// Other questions about its subject a lesson.
    pub near_misses: usize,
    /// Sampled rewordings a lesson.
    pub rewordings: usize,
    /// Other forms of a lesson's question that are kept from training, to look by.
    pub reserved: usize,
    /// Most sampled texts a lesson, for neighbours and for rewordings.
    pub samples_max: usize,
    /// Tokens of the base's own answer to a neighbour.
    pub neighbour_tokens: usize,
    /// Steps between two looks at the free-running answers.
    pub check_every: usize,
    /// Whether the adapter answers only near what it learned, the base model elsewhere.
    pub scoped: bool,
}

/// Elastic weight consolidation (online; Schwarz et al. 2018).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ewc {
    /// The penalty's form; none: there is no penalty.
    pub form: Option<Form>,
    /// Its weight λ.
    pub lambda: f32,
    /// What earlier cycles' importance is multiplied by when a new one is added.
    pub gamma: f64,
    /// Most texts that importance is measured on.
    pub texts: usize,
}

impl Default for Ewc {
    fn default() -> Self {
        Self { form: None, lambda: 1.0, gamma: 0.9, texts: 24 }
    }
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            method: Method::Lora,
            rank: 8,
            alpha: 16.0,
            lr: 5e-4,
            b_ratio: 1.0,
            warmup: 3,
            clip: 1.0,
            rows: 6,
            protecting: 1,
            protecting_everywhere: 4,
            replay_share: 0.5,
            replay: Replay::default(),
            verbatim_share: 0.3,
            kl_weight: 3.0,
            surgery: Surgery::Off,
            ewc: Ewc::default(),
            neighbours: 8,
            near_misses: 6,
            rewordings: 6,
            reserved: 2,
            samples_max: 6,
            neighbour_tokens: 32,
            check_every: 5,
            scoped: true,
        }
    }
}

/// What the base model says on its own: a conversation with its greedy answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnAnswer {
    /// The conversation; the last message is the base's answer.
    pub messages: Vec<Message>,
}

/// What is drilled beside a lesson. Made once with the base model, then kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Drill {
    /// The base model that it was made with.
    pub base_hash: String,
    /// The words that make the lesson's question this question.
    pub rare: Vec<String>,
    /// Whether they were told from the rest by more than a guess.
    pub stands_out: bool,
    /// The words of the question that name what it is about.
    pub subject: String,
    /// Questions of the same form about other things, with the base's own answers.
    pub neighbours: Vec<OwnAnswer>,
    /// Other questions about the lesson's subject, with the base's own answers.
    pub near_misses: Vec<OwnAnswer>,
    /// The same question in other words, sampled from the base.
    pub rewordings: Vec<String>,
    /// The same question in other forms of English.
    pub forms: Vec<String>,
    /// Forms that are never trained on: they tell the run whether the lesson was understood.
    pub reserved: Vec<String>,
    /// Near words of those that are not rare.
    pub swaps: Swaps,
}

impl Drill {
    /// What the lesson's question is about, as far as the drill tells.
    pub fn topic(&self, question: &str) -> Topic {
        let formed = self.forms.iter().chain(&self.reserved).map(String::as_str);
        let wordings: Vec<&str> = std::iter::once(question).chain(formed).collect();
        let near: Vec<&String> = self.swaps.values().flatten().collect();
        Topic::new(&wordings, &self.rare, &self.subject, &near)
    }
}

/// A lesson with its drill.
#[derive(Debug, Clone, PartialEq)]
pub struct Lesson {
    /// The example.
    pub example: Example,
    /// Its drill; empty for documents and for questions that need their conversation.
    pub drill: Drill,
}

impl Lesson {
    /// What makes a prompt near the lesson: what it requests, or the subject that its question names, or its very words;
    /// of a document, its vocabulary.
    pub fn about(&self) -> About {
        match &self.example.content {
            Content::Text(text) => About::Text(Vocabulary::of(text)),
            content => {
                let (question, _) = content.question_answer().unwrap_or_default();
                let topic = self.drill.stands_out.then(|| self.drill.topic(question));
                About::question(question, topic)
            }
        }
    }
}

/// Makes a lesson's drill; the base model must be in place. Long or many-turned questions get none.
pub async fn drill(
    student: &mut dyn Student,
    example: &Example,
    recipe: &Recipe,
    seed: u64,
) -> StudentResult<Drill> {
    let mut drill = Drill { base_hash: student.base_hash(), ..Drill::default() };
    let Some(question) = single_question(&example.content) else { return Ok(drill) };
    let mut random = Random::named(seed, &example.id);
    let siblings = neighbours::sample(student, example, question, recipe, &mut random).await?;
    drill.stands_out = !super::words::telling_words(question, &siblings).is_empty();
    drill.rare = super::words::rare_words(question, &siblings);
    drill.subject = super::words::subject(question, &drill.rare);
    drill.neighbours =
        neighbours::answered(student, example, question, &siblings, &drill.rare, recipe).await?;
    drill.forms = forms::forms(question);
    random.shuffle(&mut drill.forms);
    let reserved = recipe.reserved.min(drill.forms.len() / 2);
    drill.reserved = drill.forms.split_off(drill.forms.len() - reserved);
    drill.near_misses =
        near_misses::answered(student, example, question, &drill.subject, recipe).await?;
    let topic = drill.topic(question);
    drill.rewordings =
        rewordings::sample(student, example, question, &topic, recipe, &mut random).await?;
    drill.swaps = rewordings::swaps(student, question, &drill).await?;
    Ok(drill)
}

/// The question of a lesson that stands on its own: one line, not long, with at most a system message before it.
fn single_question(content: &Content) -> Option<&str> {
    const CHARS_MAX: usize = 240;
    let Content::Chat(messages) = content else { return None };
    let alone = match &messages[..] {
        [_, _] => true,
        [first, _, _] => first.role == "system",
        _ => false,
    };
    let (question, _) = content.question_answer()?;
    let question = question.trim();
    let short = question.chars().count() <= CHARS_MAX && !question.contains('\n');
    (alone && short && !question.is_empty()).then_some(question)
}
