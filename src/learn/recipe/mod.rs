//! The recipe by which a candidate is trained: what is drilled beside each lesson, and in which shares.
//!
//! The numbers were measured (FACTS.md 4.6 and 4.7): neighbours of a lesson rehearsed with the base's own
//! distribution protect what plain training destroys; rewordings make the lesson hold in other words. It knows
//! models only as a `Student`. Invariant: nothing of the user's held-out rephrasings enters the training.

pub mod batch;
pub mod generic;
pub mod neighbours;
pub mod rewordings;

use super::example::{Content, Example};
use super::student::{Student, StudentResult};
use crate::format::message::Message;
use crate::model::method::Method;
use crate::model::random::Random;
use serde::{Deserialize, Serialize};

/// The recipe's numbers.
#[derive(Debug, Clone, PartialEq)]
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
    /// Rows that teach, in a batch; as many rows protect.
    pub rows: usize,
    /// Share of the teaching rows that replay earlier lessons.
    pub replay_share: f64,
    /// Share of a lesson's draws that ask as taught; the rest ask in other words.
    pub verbatim_share: f64,
    /// Weight of the KL to the base on the protecting rows.
    pub kl_weight: f32,
    /// Neighbours a lesson.
    pub neighbours: usize,
    /// Sampled rewordings a lesson.
    pub rewordings: usize,
    /// Most sampled texts a lesson, for neighbours and for rewordings.
    pub samples_max: usize,
    /// Tokens of the base's own answer to a neighbour.
    pub neighbour_tokens: usize,
    /// Steps between two looks at the free-running answers.
    pub check_every: usize,
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
            rows: 4,
            replay_share: 0.25,
            verbatim_share: 0.4,
            kl_weight: 3.0,
            neighbours: 8,
            rewordings: 6,
            samples_max: 6,
            neighbour_tokens: 32,
            check_every: 5,
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
    /// Questions of the same form about other things, with the base's own answers.
    pub neighbours: Vec<OwnAnswer>,
    /// The same question in other words, sampled from the base.
    pub rewordings: Vec<String>,
    /// The question's content words, without the others and in other orders.
    pub bags: Vec<String>,
}

/// A lesson with its drill.
#[derive(Debug, Clone, PartialEq)]
pub struct Lesson {
    /// The example.
    pub example: Example,
    /// Its drill; empty for documents and for questions that need their conversation.
    pub drill: Drill,
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
    drill.rare = super::words::rare_words(question, &siblings);
    drill.neighbours =
        neighbours::answered(student, example, question, &siblings, &drill.rare, recipe).await?;
    drill.rewordings =
        rewordings::sample(student, example, question, &drill.rare, recipe, &mut random).await?;
    drill.bags = rewordings::bags(question, &example.rephrasings, &mut random);
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
