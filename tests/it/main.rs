//! The integration tests: one binary, a module a subject.
#![allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion, in helpers too")]

mod tidy;
