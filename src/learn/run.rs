//! One training run: steps until the free-running answers say what was taught, and the loss is at its target.
//!
//! It knows no gate, and of the store only who keeps its position (`checkpoint`). Invariants: the run ends, at the latest
//! after `steps_max` steps, and stops as soon as two looks in a row found every lesson said and wordings that are not
//! trained on get the taught answers too, since driving the loss down further only destroys; a run that goes on from a
//! kept position ends where an uninterrupted one does, bit for bit.

use super::checkpoint::Keeper;
use super::learner::{LearnError, LearnResult};
use super::position::Position;
use super::prepare::Material;
use super::progress::{Documents, Progress};
use super::recipe::Lesson;
use super::recipe::batch::Draws;
use super::report::{Event, LearnOptions};
use super::student::{StepReport, Student, StudentError, StudentResult, TrainPlan};
use crate::model::adapter::Adapter;
use crate::store::Store;
use std::collections::BTreeSet;

/// Most steps of any run.
const STEPS_MAX: usize = 600;

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

/// Trains a candidate from HEAD (none: a fresh adapter), or goes on with what an earlier run of the same left.
pub(super) async fn train<S: Store>(
    student: &mut dyn Student,
    head: Option<&Adapter>,
    material: &Material,
    (options, plan): (&LearnOptions, &TrainPlan),
    keeper: &mut Keeper<'_, S>,
    events: &mut dyn FnMut(Event),
) -> LearnResult<Trained> {
    let recipe = &options.recipe;
    let TrainPlan { steps: steps_max, seed, .. } = *plan;
    student.begin_training(head, plan).await?;
    let start = read_back(student).await?;
    let Material { earlier, generic, cycle, again, .. } = material;
    let drilled = material.drilled();
    let mut draws = Draws::new(recipe, &drilled, earlier, generic, *cycle, seed);
    let lessons = Progress::new(&drilled);
    let documents = Documents::new(&drilled, options);
    let mut at = Position::new(lessons.len());
    let kept = keeper.begin(&start, events).await?;
    let kept = kept.filter(|(position, _)| position.fits(lessons.len(), steps_max));
    if let Some((position, snapshot)) = kept {
        student.restore(&snapshot, position.step).await?;
        // What was drawn is not kept: the same draws are made again.
        (0..position.step).for_each(|_| drop(draws.batch()));
        events(Event::Resumed { step: position.step, steps_max });
        at = position;
    }
    let run = Run { lessons, documents, steps_max, check_every: recipe.check_every.max(1) };
    match run.go(student, &mut draws, &mut at, keeper, events).await {
        Err(error @ LearnError::Student(StudentError::Cancelled)) => {
            keeper.stopped(student, &at, events).await;
            return Err(error);
        }
        ended => ended?,
    }
    let replayed = draws.replayed().chain(again).map(|lesson| lesson.example.id.clone());
    let replayed: BTreeSet<String> = replayed.collect();
    let end = read_back(student).await?;
    let (loss_first, loss_last) = at.losses();
    Ok(Trained { start, end, replayed: replayed.into_iter().collect(), loss_first, loss_last })
}

/// What a run goes by.
struct Run<'a> {
    lessons: Progress<'a>,
    documents: Documents,
    steps_max: usize,
    check_every: usize,
}

impl Run<'_> {
    /// Steps from `at` until everything is learned, or there are no more. Cut off, it leaves `at` where it can go on.
    async fn go<S: Store>(
        &self,
        student: &mut dyn Student,
        draws: &mut Draws<'_>,
        at: &mut Position,
        keeper: &mut Keeper<'_, S>,
        events: &mut dyn FnMut(Event),
    ) -> LearnResult<()> {
        let steps_max = self.steps_max;
        let (began_ms, began_at) = (keeper.now_ms(), at.step);
        let mut stepped: Option<StepReport> = None;
        loop {
            let looks = at.step.is_multiple_of(self.check_every) || at.step == steps_max;
            // A run that was stopped while it looked looks again.
            if looks && at.looked < at.step {
                self.lessons.look(student, at).await?;
            }
            if let Some(report) = stepped {
                let seconds = keeper.now_ms().saturating_sub(began_ms) as f64 / 1000.0;
                let left = (steps_max - at.step) as f64 / (at.step - began_at) as f64;
                events(Event::Step {
                    step: at.step,
                    steps_max,
                    loss: report.loss,
                    kl: report.kl,
                    grad_norm: report.grad_norm,
                    learned: self.lessons.said(at),
                    total: self.lessons.len(),
                    seconds_left: seconds * left,
                });
                keeper.stepped(student, at, events).await;
            }
            let is_learned = self.lessons.are_learned(at) && self.documents.are_learned(at);
            if at.step == steps_max || (at.step > 0 && is_learned) {
                return Ok(());
            }
            let report = student.train_step(&draws.batch()).await?;
            if !report.loss.is_finite() || !report.grad_norm.is_finite() {
                return Err(LearnError::Diverged { step: at.step + 1, loss: report.loss });
            }
            at.stepped(report.loss);
            stepped = Some(report);
        }
    }
}

/// Steps that a number of lessons asks for: some eight a lesson and two passes over documents.
fn steps_for(new: &[Lesson]) -> usize {
    let facts = new.iter().filter(|l| l.example.content.fact().is_some()).count();
    let documents = new.len() - facts;
    let for_facts = if facts == 0 { 0 } else { (10 + 8 * facts).max(60) };
    let for_documents = if documents == 0 { 0 } else { (2 * documents).div_ceil(3).max(30) };
    (for_facts + for_documents).min(STEPS_MAX)
}

async fn read_back(student: &mut dyn Student) -> StudentResult<Adapter> {
    let adapter = student.adapter().await?;
    adapter.ok_or_else(|| StudentError::Failed("training left no adapter in place".into()))
}
