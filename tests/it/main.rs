//! The integration tests: one binary, a module a subject.

mod crash;
mod learn_cycle;
mod learn_fake;
mod learn_gate;
mod learn_recipe;
mod store;
