//! A cycle's events in the page's words: four phases, steps, and suites.
//!
//! It knows no screen. Invariant: the page's phases come in their order and none comes back, so HEAD's exam counts
//! as preparation.

use crate::learn::report::{Event, Phase};
use serde::Serialize;

/// An event as the page gets it.
#[derive(Serialize)]
#[serde(untagged)]
pub enum PageEvent {
    /// Steps and suites have the same fields on both sides.
    Same(Event),
    /// What happens within a phase.
    Phase {
        /// Always `phase`.
        r#type: &'static str,
        /// `prepare`, `train`, `evaluate` or `commit`.
        phase: &'static str,
        /// Things done.
        #[serde(skip_serializing_if = "Option::is_none")]
        done: Option<usize>,
        /// Things in all.
        #[serde(skip_serializing_if = "Option::is_none")]
        total: Option<usize>,
        /// One line for a person.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
}

/// The page's event for an engine's; none where the report tells the same.
pub fn page_event(event: Event) -> Option<PageEvent> {
    let phase = |phase, detail: Option<&str>| PageEvent::Phase {
        r#type: "phase",
        phase,
        done: None,
        total: None,
        detail: detail.map(String::from),
    };
    match event {
        Event::Phase { phase: Phase::Prepare } => Some(phase("prepare", None)),
        Event::Phase { phase: Phase::EvaluateHead } => {
            Some(phase("prepare", Some("Examining the version that answers now")))
        }
        Event::Phase { phase: Phase::Train } => Some(phase("train", None)),
        Event::Phase { phase: Phase::EvaluateCandidate } => Some(phase("evaluate", None)),
        Event::Phase { phase: Phase::Commit } => Some(phase("commit", None)),
        Event::Drill { done, total } => Some(PageEvent::Phase {
            r#type: "phase",
            phase: "prepare",
            done: Some(done),
            total: Some(total),
            detail: Some(format!("Practice for {done} of {total} lessons")),
        }),
        event @ (Event::Step { .. } | Event::Suite { .. }) => Some(PageEvent::Same(event)),
        Event::Warning { .. } | Event::Verdict { .. } => None,
    }
}
