//! Every kernel, on the GPU and on the CPU device, against plain f64 references and against each other.
//!
//! A GPU is required: a software adapter will do, a missing one fails. Sizes are 1, around the tiles and the default
//! model's own where those are small; software adapters are slow.

pub mod attention;
mod beside;
mod columns;
mod controls;
mod flat;
mod fused;
mod gemv;
mod guards;
pub mod harness;
mod linked_faults;
mod lora;
mod losses;
mod products;
pub mod reference;
mod rope;
mod rows;
mod sampling;
mod stored;
mod tiles;
