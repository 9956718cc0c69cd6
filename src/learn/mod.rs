//! The learning loop: examples, replay, suites, gate, cycle, versions. Knows no browsers, GPUs or files.

pub mod student;
