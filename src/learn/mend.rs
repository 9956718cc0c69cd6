//! Mending a candidate before it is examined: earlier lessons that its training cost are drilled beside the new ones.
//!
//! What was taught once is asked again in full, so a run can end as it ends for its own lessons: when the model says them. It
//! knows no gate. Invariant: without a lost lesson nothing is trained.

use super::checkpoint::Keeper;
use super::exam::Exam;
use super::learner::LearnResult;
use super::prepare::Material;
use super::report::{Event, LearnOptions, Phase};
use super::run::{Trained, train};
use super::student::{Student, TrainPlan};
use crate::store::Store;

/// Steps of a round.
const STEPS: usize = 12;

/// Most lost lessons that a round drills.
const LOST_MAX: usize = 12;

/// Trains on from where the run ended until nothing that HEAD said is lost, `options.mending` rounds at most.
pub(super) async fn mend<S: Store>(
    student: &mut dyn Student,
    trained: &mut Trained,
    (exam, material): (&Exam, &mut Material),
    (options, plan): (&LearnOptions, &TrainPlan),
    keeper: &mut Keeper<'_, S>,
    events: &mut dyn FnMut(Event),
) -> LearnResult<()> {
    for round in 1..=options.mending {
        let lost = exam.lost_by(student, events).await?;
        if lost.is_empty() {
            break;
        }
        material.drill_again(&lost, LOST_MAX);
        let detail = format!("{} earlier lessons are drilled again", material.again.len());
        events(Event::phase(Phase::Train, &detail));
        let steps = STEPS.min(plan.steps);
        let plan = TrainPlan { steps, seed: plan.seed.wrapping_add(round as u64), ..plan.clone() };
        let more =
            train(student, Some(&trained.end), material, (options, &plan), keeper, events).await?;
        trained.end = more.end;
        trained.loss_last = more.loss_last;
        trained.replayed.extend(more.replayed);
        trained.replayed.sort();
        trained.replayed.dedup();
    }
    Ok(())
}
