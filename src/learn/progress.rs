//! How far a run has come: whether its free-running answers say what is taught, and whether documents are learned.
//!
//! It asks the student and trains nothing. Invariant: what it found is in the run's position and nowhere else.

use super::evaluate::{Wanted, said};
use super::example::{Content, Example};
use super::position::Position;
use super::recipe::Lesson;
use super::report::LearnOptions;
use super::student::{Student, StudentResult};
use crate::format::message::Message;

/// Share of the first loss at which documents are learned enough.
const DOCUMENT_SHARE: f32 = 0.8;

/// Share of the reserved wordings that must get the taught answer before a run stops by itself.
const UNDERSTOOD: f64 = 0.9;

/// Which lessons the free-running answers say.
pub(super) struct Progress<'a> {
    lessons: Vec<&'a Lesson>,
}

impl<'a> Progress<'a> {
    pub fn new(new: &'a [Lesson]) -> Self {
        let fact = |lesson: &&Lesson| lesson.example.content.fact().is_some();
        Self { lessons: new.iter().filter(fact).collect() }
    }

    /// Lessons that can be asked for.
    pub fn len(&self) -> usize {
        self.lessons.len()
    }

    pub fn said(&self, at: &Position) -> usize {
        self.lessons.len() - at.unsaid.len()
    }

    pub fn are_learned(&self, at: &Position) -> bool {
        self.lessons.is_empty() || (at.streak >= 2 && at.understood)
    }

    /// Asks what was not said before; once all of that is, asks everything, since later steps can undo earlier ones,
    /// and in the wordings that the run keeps from training. A look that is cut off leaves `at` as it was.
    pub async fn look(&self, student: &mut dyn Student, at: &mut Position) -> StudentResult<()> {
        let mut unsaid = self.ask(student, &at.unsaid).await?;
        if unsaid.is_empty() {
            let all: Vec<usize> = (0..self.lessons.len()).collect();
            unsaid = self.ask(student, &all).await?;
        }
        let streak = if unsaid.is_empty() { at.streak + 1 } else { 0 };
        let understood = match streak >= 2 {
            true => self.ask_otherwise(student).await? >= UNDERSTOOD,
            false => at.understood,
        };
        *at = Position { looked: at.step, unsaid, streak, understood, ..*at };
        Ok(())
    }

    /// The share of the reserved wordings that get the taught answer; 1 where there are none.
    async fn ask_otherwise(&self, student: &mut dyn Student) -> StudentResult<f64> {
        let asked = self.lessons.iter().flat_map(|lesson| {
            let example = &lesson.example;
            let answer = example.content.question_answer().map_or("", |(_, answer)| answer);
            lesson.drill.reserved.iter().map(move |wording| {
                let mut messages = example.content.asking(wording);
                messages.push(Message::assistant(answer));
                (Content::Chat(messages), example)
            })
        });
        let asked: Vec<(Content, &Example)> = asked.collect();
        let wanted = asked.iter().map(|(content, example)| {
            let lesson = example.content.question_answer().map_or("", |(question, _)| question);
            Wanted { content, lesson, ..Wanted::of(example) }
        });
        let said = said(student, &wanted.collect::<Vec<_>>()).await?;
        let right = said.iter().filter(|said| **said == Some(true)).count();
        Ok(if said.is_empty() { 1.0 } else { right as f64 / said.len() as f64 })
    }

    async fn ask(&self, student: &mut dyn Student, which: &[usize]) -> StudentResult<Vec<usize>> {
        let wanted = which.iter().map(|&index| Wanted::of(&self.lessons[index].example));
        let said = said(student, &wanted.collect::<Vec<_>>()).await?;
        let unsaid = which.iter().zip(said).filter(|(_, said)| *said == Some(false));
        Ok(unsaid.map(|(index, _)| *index).collect())
    }
}

/// Whether documents are learned: every one was drawn, and the smoothed loss is at its target.
pub(super) struct Documents {
    steps_min: usize,
    target: Option<f32>,
}

impl Documents {
    pub fn new(new: &[Lesson], options: &LearnOptions) -> Self {
        let texts = new.iter().filter(|l| l.example.content.fact().is_none()).count();
        // New lessons come in epochs of at least three rows a step, so this many steps draw each once.
        let steps_min = if texts == 0 { 0 } else { new.len().div_ceil(3).max(8) };
        Self { steps_min, target: options.target_loss }
    }

    pub fn are_learned(&self, at: &Position) -> bool {
        let [smooth, beginning] = at.smooth();
        let target = self.target.unwrap_or(beginning * DOCUMENT_SHARE);
        self.steps_min == 0 || (at.step >= self.steps_min && smooth <= target)
    }
}
