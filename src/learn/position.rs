//! Where a training run is, and the record that lets it go on from there after its process was killed.
//!
//! Plain data: it trains nothing and knows no store. Invariant: a position holds all that the rest of a run depends on
//! besides the student's own numbers and the draws, and comes back from its record bit for bit.

use serde::{Deserialize, Serialize};

/// Weight of the past in the smoothed loss.
const SMOOTHING: f32 = 0.8;

/// When checkpoints are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// Never.
    Never,
    /// So seldom that they take at most a twentieth of a run's time, and a megabyte a second of the home.
    #[default]
    Bounded,
    /// After every step.
    EveryStep,
}

/// Where a run is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Steps done.
    pub step: usize,
    /// Steps done when the answers were last looked at.
    pub looked: usize,
    /// Which lessons the free-running answers did not say when last looked at.
    pub unsaid: Vec<usize>,
    /// Looks in a row that found every lesson said.
    pub streak: usize,
    /// Whether enough of the reserved wordings got the taught answer when last asked.
    pub understood: bool,
    /// The bits of the losses: of the first step, of the last one, smoothed, and smoothed at the beginning. A decimal
    /// could come back as its neighbour.
    pub losses: [u32; 4],
}

impl Position {
    /// The beginning of a run of so many lessons that can be asked for.
    pub fn new(lessons: usize) -> Self {
        let unsaid = (0..lessons).collect();
        let losses = [f32::NAN.to_bits(); 4];
        Self { step: 0, looked: 0, unsaid, streak: 0, understood: false, losses }
    }

    /// Cross entropy of the first step and of the last one, nats a token.
    pub fn losses(&self) -> (f32, f32) {
        let [first, last, ..] = self.losses.map(f32::from_bits);
        (first, last)
    }

    /// The loss smoothed over the steps, and what it was so at the beginning.
    pub fn smooth(&self) -> [f32; 2] {
        let [_, _, smooth, beginning] = self.losses.map(f32::from_bits);
        [smooth, beginning]
    }

    /// One more step, of this loss.
    pub fn stepped(&mut self, loss: f32) {
        self.step += 1;
        let [mut first, _, mut smooth, mut beginning] = self.losses.map(f32::from_bits);
        if self.step == 1 {
            (first, smooth) = (loss, loss);
        } else {
            smooth = SMOOTHING * smooth + (1.0 - SMOOTHING) * loss;
        }
        // The first losses vary with what was drawn; the fourth smoothed one stands for the beginning.
        if self.step <= 4 {
            beginning = smooth;
        }
        self.losses = [first, loss, smooth, beginning].map(f32::to_bits);
    }

    /// Whether it can be one of a run of so many lessons and steps.
    pub fn fits(&self, lessons: usize, steps_max: usize) -> bool {
        (1..=steps_max).contains(&self.step) && self.unsaid.iter().all(|index| *index < lessons)
    }
}

/// The record of a run that has not ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    /// Hash of all that the run depends on.
    pub run: String,
    /// HEAD; none is the base model.
    pub parent: Option<String>,
    /// Ids of what it teaches, in order.
    pub lessons: Vec<String>,
    /// Most lessons of its cycle.
    pub lessons_max: usize,
    /// Steps planned.
    pub steps_max: usize,
    /// When it was written.
    pub at_ms: u64,
    /// Where it is.
    pub position: Position,
    /// The adapter and the optimizer's moments.
    pub blobs: [String; 3],
}
