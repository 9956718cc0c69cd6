//! The integration tests: one binary, a module a subject.

mod learn_gate;
mod store;
