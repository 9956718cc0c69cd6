//! How long the phases of a cycle took, told from its events.
//!
//! It has no part in what is learned. Invariant: the seconds add up to the time from the first event to the last.

use crate::learn::report::{Event, Phase};
use std::collections::BTreeMap;
use std::time::Instant;

/// The name of the time in which HEAD and the base model are examined, which is a part of preparing but the gate's.
const HEAD: &str = "head";

/// Seconds of each phase, from a cycle's events.
#[derive(Debug, Default)]
pub struct Phases {
    seconds: BTreeMap<String, f64>,
    current: Option<(Phase, Instant)>,
}

impl Phases {
    /// Hears an event; the time since the one before goes to the phase that it was in.
    pub fn hear(&mut self, event: &Event) {
        let now = Instant::now();
        let phase = match (event, self.current) {
            (Event::Phase { phase, .. }, _) => *phase,
            (_, Some((phase, _))) => phase,
            (_, None) => Phase::Prepare,
        };
        if let Some((before, at)) = self.current {
            let of_head = matches!(event, Event::Suite { scale, .. } if *scale == 0.0);
            let name = match of_head {
                true => HEAD.to_string(),
                false => format!("{before:?}").to_lowercase(),
            };
            *self.seconds.entry(name).or_default() += (now - at).as_secs_f64();
        }
        self.current = Some((phase, now));
    }

    /// The seconds: prepare, head, train, evaluate, commit.
    pub fn seconds(self) -> BTreeMap<String, f64> {
        self.seconds
    }
}

/// One line for a person: the seconds, and which share of them the gate took.
pub fn told(seconds: &BTreeMap<String, f64>) -> String {
    let of = |names: &[&str]| names.iter().filter_map(|name| seconds.get(*name)).sum::<f64>();
    let (all, gate) = (seconds.values().sum::<f64>(), of(&[HEAD, "evaluate"]));
    format!(
        "{all:.0} s: {:.0} preparing, {:.0} training, {gate:.0} examining ({:.0} %)",
        of(&["prepare"]),
        of(&["train"]),
        100.0 * gate / all.max(1e-9),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::gate::SuiteKind;
    use std::thread::sleep;
    use std::time::Duration;

    #[test]
    fn an_examination_of_head_is_the_gates_time() {
        let mut phases = Phases::default();
        let suite = |scale| Event::Suite { suite: SuiteKind::Core, scale, done: 1, total: 2 };
        for event in [
            Event::phase(Phase::Prepare, "lessons"),
            suite(0.0),
            Event::phase(Phase::Train, "a candidate"),
            Event::phase(Phase::Evaluate, "it"),
            suite(1.0),
            Event::phase(Phase::Commit, "the decision"),
        ] {
            phases.hear(&event);
            sleep(Duration::from_millis(2));
        }
        let seconds = phases.seconds();
        let names: Vec<&str> = seconds.keys().map(String::as_str).collect();
        assert_eq!(names, ["evaluate", "head", "prepare", "train"]);
        // A sleep is never shorter than asked for.
        assert!(
            seconds["evaluate"] >= 0.004 && seconds["head"] >= 0.002,
            "two of its parts, one of HEAD's"
        );
        let told = told(&BTreeMap::from(
            [("prepare", 10.0), ("head", 5.0), ("train", 60.0), ("evaluate", 25.0)]
                .map(|(name, s)| (name.to_string(), s)),
        ));
        assert_eq!(told, "100 s: 10 preparing, 60 training, 30 examining (30 %)");
    }
}
