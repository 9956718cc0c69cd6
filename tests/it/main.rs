//! The integration tests: one binary, a module a subject.

#![allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion, in helpers too")]

mod crash;
mod learn_cycle;
mod learn_fake;
mod learn_gate;
mod learn_recipe;
mod learn_screen;
mod store;
