//! One training run: steps until the free-running answers say what was taught, and the loss is at its target.
//!
//! It knows no gate and no store. Invariant: the run ends, at the latest after `steps_max` steps, and stops as soon
//! as two looks in a row found every lesson said and wordings that are not trained on get the taught answers too,
//! since driving the loss down further only destroys.

use super::evaluate::{Wanted, said};
use super::example::{Content, Example};
use super::learner::{LearnError, LearnResult};
use super::prepare::Material;
use super::recipe::Lesson;
use super::recipe::batch::Draws;
use super::report::{Event, LearnOptions};
use super::student::{Student, StudentError, StudentResult, TrainPlan};
use crate::format::message::Message;
use crate::model::adapter::Adapter;
use std::collections::BTreeSet;

/// Most steps of any run.
const STEPS_MAX: usize = 600;

/// Share of the first loss at which documents are learned enough.
const DOCUMENT_SHARE: f32 = 0.8;

/// Share of the reserved wordings that must get the taught answer before a run stops by itself.
const UNDERSTOOD: f64 = 0.9;

/// Weight of the past in the smoothed loss.
const SMOOTHING: f32 = 0.8;

/// What a run made.
#[derive(Debug)]
pub(super) struct Trained {
    /// Where it started: HEAD, or a fresh adapter that changes nothing.
    pub start: Adapter,
    /// Where it ended.
    pub end: Adapter,
    /// Ids of the earlier examples that were drawn or drilled again.
    pub replayed: Vec<String>,
    /// Cross entropy of the first step, nats a token.
    pub loss_first: f32,
    /// Cross entropy of the last step.
    pub loss_last: f32,
}

/// How the candidate is trained, but for what earlier learning needs.
pub(super) fn plan(material: &Material, options: &LearnOptions, seed: u64) -> TrainPlan {
    let recipe = &options.recipe;
    TrainPlan {
        method: recipe.method,
        rank: recipe.rank,
        alpha: recipe.alpha,
        lr: recipe.lr,
        b_ratio: recipe.b_ratio,
        steps: options.steps_max.unwrap_or_else(|| steps_for(&material.drilled())).max(1),
        warmup: recipe.warmup,
        clip: recipe.clip,
        seed,
        surgery: recipe.surgery,
        penalty: None,
    }
}

/// Trains a candidate from HEAD (none: a fresh adapter).
pub(super) async fn train(
    student: &mut dyn Student,
    head: Option<&Adapter>,
    material: &Material,
    (options, plan): (&LearnOptions, &TrainPlan),
    clock: &dyn Fn() -> u64,
    events: &mut dyn FnMut(Event),
) -> LearnResult<Trained> {
    let recipe = &options.recipe;
    let TrainPlan { steps: steps_max, seed, .. } = *plan;
    student.begin_training(head, plan).await?;
    let start = read_back(student).await?;
    let Material { earlier, generic, cycle, again, .. } = material;
    let drilled = material.drilled();
    let mut draws = Draws::new(recipe, &drilled, earlier, generic, *cycle, seed);
    let mut lessons = Progress::new(&drilled);
    let mut documents = Documents::new(&drilled, options);
    let (mut loss_first, mut loss_last) = (f32::NAN, f32::NAN);
    let began_ms = clock();
    for step in 1..=steps_max {
        let report = student.train_step(&draws.batch()).await?;
        if !report.loss.is_finite() || !report.grad_norm.is_finite() {
            return Err(LearnError::Diverged { step, loss: report.loss });
        }
        if step == 1 {
            loss_first = report.loss;
        }
        loss_last = report.loss;
        documents.step(report.loss);
        if step.is_multiple_of(recipe.check_every.max(1)) || step == steps_max {
            lessons.look(student).await?;
        }
        let seconds = clock().saturating_sub(began_ms) as f64 / 1000.0;
        events(Event::Step {
            step,
            steps_max,
            loss: report.loss,
            kl: report.kl,
            grad_norm: report.grad_norm,
            learned: lessons.said(),
            total: lessons.lessons.len(),
            seconds_left: seconds / step as f64 * (steps_max - step) as f64,
        });
        if lessons.are_learned() && documents.are_learned() {
            break;
        }
    }
    let replayed = draws.replayed().chain(again).map(|lesson| lesson.example.id.clone());
    let replayed: BTreeSet<String> = replayed.collect();
    let end = read_back(student).await?;
    Ok(Trained { start, end, replayed: replayed.into_iter().collect(), loss_first, loss_last })
}

/// Steps that a number of lessons asks for: some eight a lesson and two passes over documents.
fn steps_for(new: &[Lesson]) -> usize {
    let chats = new.iter().filter(|l| l.example.content.question_answer().is_some()).count();
    let documents = new.len() - chats;
    let for_chats = if chats == 0 { 0 } else { (10 + 8 * chats).max(60) };
    let for_documents = if documents == 0 { 0 } else { (2 * documents).div_ceil(3).max(30) };
    (for_chats + for_documents).min(STEPS_MAX)
}

async fn read_back(student: &mut dyn Student) -> StudentResult<Adapter> {
    let adapter = student.adapter().await?;
    adapter.ok_or_else(|| StudentError::Failed("training left no adapter in place".into()))
}

/// Which lessons the free-running answers say.
struct Progress<'a> {
    lessons: Vec<&'a Lesson>,
    unsaid: Vec<usize>,
    /// Looks in a row that found every lesson said.
    streak: usize,
    /// Share of the reserved wordings that got the taught answer when last asked.
    understood: f64,
}

impl<'a> Progress<'a> {
    fn new(new: &'a [Lesson]) -> Self {
        let chat = |lesson: &&Lesson| lesson.example.content.question_answer().is_some();
        let lessons: Vec<&Lesson> = new.iter().filter(chat).collect();
        let unsaid = (0..lessons.len()).collect();
        Self { lessons, unsaid, streak: 0, understood: 0.0 }
    }

    fn said(&self) -> usize {
        self.lessons.len() - self.unsaid.len()
    }

    fn are_learned(&self) -> bool {
        self.lessons.is_empty() || (self.streak >= 2 && self.understood >= UNDERSTOOD)
    }

    /// Asks what was not said before; once all of that is, asks everything, since later steps can undo earlier ones,
    /// and in the wordings that the run keeps from training.
    async fn look(&mut self, student: &mut dyn Student) -> StudentResult<()> {
        self.unsaid = self.ask(student, &self.unsaid).await?;
        if self.unsaid.is_empty() {
            let all: Vec<usize> = (0..self.lessons.len()).collect();
            self.unsaid = self.ask(student, &all).await?;
        }
        self.streak = if self.unsaid.is_empty() { self.streak + 1 } else { 0 };
        if self.streak >= 2 {
            self.understood = self.ask_otherwise(student).await?;
        }
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
struct Documents {
    steps_min: usize,
    target: Option<f32>,
    steps: usize,
    first: f32,
    smooth: f32,
}

impl Documents {
    fn new(new: &[Lesson], options: &LearnOptions) -> Self {
        let texts = new.iter().filter(|l| l.example.content.question_answer().is_none()).count();
        // New lessons come in epochs of at least three rows a step, so this many steps draw each once.
        let steps_min = if texts == 0 { 0 } else { new.len().div_ceil(3).max(8) };
        Self { steps_min, target: options.target_loss, steps: 0, first: 0.0, smooth: 0.0 }
    }

    fn step(&mut self, loss: f32) {
        self.steps += 1;
        self.smooth =
            if self.steps == 1 { loss } else { SMOOTHING * self.smooth + (1.0 - SMOOTHING) * loss };
        // The first losses vary with what was drawn; the fourth smoothed one stands for the beginning.
        if self.steps <= 4 {
            self.first = self.smooth;
        }
    }

    fn are_learned(&self) -> bool {
        let target = self.target.unwrap_or(self.first * DOCUMENT_SHARE);
        self.steps_min == 0 || (self.steps >= self.steps_min && self.smooth <= target)
    }
}
