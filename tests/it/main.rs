//! The integration tests: one binary, a module a subject.
//!
//! Most modules have a stage of `cargo xtask test` of their own; `unit` runs those that have none. Nothing is
//! asserted here. Invariant: a module that is not named below does not run.
#![allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion, in helpers too")]

mod tidy;
