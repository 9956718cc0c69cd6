//! The operations of a model, one file each: the shader's table line, the wrapper with its shape checks, the CPU twin.
//!
//! A kernel knows its own formula and nothing of the layers that it is used in. Activations are f32, `T` counts rows
//! (tokens). Each kernel is one name thrice, with the same bindings in the same order: params, inputs, outputs.

mod add;
mod argmax;
mod attention;
mod embed;
mod lanes;
mod launch;
mod linear;
mod matmul;
mod matvec;
mod panel;
mod parallel;
mod rms_norm;
mod rope;
mod swiglu;
mod top_k;

pub use add::{ADD, add};
pub use argmax::{ARGMAX, argmax};
pub use attention::{ATTENTION, AttentionShape, attention};
pub use embed::{EMBED, embed};
pub use linear::{LinearShape, linear};
pub use matmul::{MATMUL, matmul};
pub use matvec::{MATVEC, matvec};
pub use rms_norm::{RMS_NORM, rms_norm};
pub use rope::{ROPE, RopeShape, rope};
pub use swiglu::{SWIGLU, swiglu};
pub use top_k::{TOP_K, TOP_K_MAX, top_k, top_k_words};

use crate::device::KernelDef;

/// Every kernel.
pub static ALL: &[&KernelDef] =
    &[&ADD, &ARGMAX, &ATTENTION, &EMBED, &MATMUL, &MATVEC, &RMS_NORM, &ROPE, &SWIGLU, &TOP_K];
