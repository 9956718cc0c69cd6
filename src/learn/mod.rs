//! The learning loop: examples, replay, suites, gate, cycle, versions. Knows no browsers, GPUs or files.
//!
//! Times and seeds come in, events go out; models come in as a `Student`, homes as a `Store`. Invariant: HEAD moves
//! in one atomic write, after the adapter that it names is durable.

mod adopt;
pub mod asks;
pub mod audit;
pub mod bisect;
pub mod chain;
mod checkout;
pub mod checkpoint;
mod combine;
pub mod compare;
mod consolidate;
pub mod cycle;
pub mod drift;
pub mod engine;
pub mod evaluate;
pub mod everyday;
pub mod exam;
pub mod example;
pub mod exchange;
pub mod forget;
pub mod gate;
mod hindsight;
pub mod history;
mod keys;
pub mod kinds;
pub mod learner;
pub mod likeness;
mod mend;
pub mod names;
mod outliers;
mod policy;
pub mod position;
mod prepare;
mod progress;
pub mod prune;
pub mod recipe;
pub mod replay;
pub mod report;
pub mod requests;
mod run;
pub mod scope;
mod screen;
mod script;
mod serve;
mod sources;
pub mod stats;
pub mod student;
pub mod suite;
pub mod sum_tree;
mod teach;
mod telling;
pub mod topic;
pub mod version;
pub mod vocabulary;
pub mod words;
