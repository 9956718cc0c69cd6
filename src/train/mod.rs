//! Training a LoRA adapter on a device: backward pass, loss, optimizer, schedule, packing.
//!
//! It knows nothing of where examples come from. Invariant: the base model's weights are never written.

pub mod backward;
mod batch_loss;
mod ewc;
pub mod importance;
mod loss;
mod measure;
pub mod memory;
pub mod pack;
mod parts;
pub mod plan;
pub mod planner;
mod resume;
pub mod schedule;
mod surgery;
pub mod trainer;

pub use batch_loss::BatchLoss;
pub use importance::{Form, Importance};
pub use memory::Guards;
pub use pack::{Goal, Sequence};
pub use plan::Plan;
pub use planner::MemoryPlan;
pub use schedule::Schedule;
pub use surgery::Surgery;
pub use trainer::Trainer;

use crate::device::DeviceError;
use crate::model::ModelError;
use crate::model::method::Method;

/// Why training failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// No adapter is in place.
    #[error("no adapter is in place to train")]
    NoAdapter,
    /// The loss is no number any more.
    #[error("the loss became {loss} at step {step}; lower the learning rate")]
    Diverged {
        /// The loss.
        loss: f32,
        /// The step.
        step: u32,
    },
    /// What EWC's function form is of.
    #[error(
        "EWC's function form is of pairs A and B, which {method} has none of; take the diagonal form"
    )]
    NoPairs {
        /// The adapter's method.
        method: Method,
    },
    /// A batch teaches nothing.
    #[error("a batch has no token to learn; check the examples' answers")]
    NothingToLearn,
    /// Of the model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Of the device.
    #[error(transparent)]
    Device(#[from] DeviceError),
}
