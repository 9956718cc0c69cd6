//! Small losses of many cycles: what erodes slowly is stopped, what only wavers is not.
//!
//! Lines of versions are lived on the gate alone, which is a pure function. Invariant: a control without the sum sees nothing.

use apprentice::learn::drift::Drift;
use apprentice::learn::gate::{Evidence, GatePolicy, Pair, Score, SuiteKind, Verdict, decide};
use apprentice::model::random::Random;
use std::collections::BTreeMap;

/// A line of versions as the gate sees it: of each suite, which items are right.
#[derive(Clone)]
struct Line {
    right: BTreeMap<SuiteKind, Vec<bool>>,
    base: BTreeMap<SuiteKind, Vec<bool>>,
    drift: Drift,
    policy: GatePolicy,
}

impl Line {
    fn new(suites: &[(SuiteKind, usize)]) -> Self {
        let right: BTreeMap<SuiteKind, Vec<bool>> =
            suites.iter().map(|(kind, n)| (*kind, vec![true; *n])).collect();
        let (drift, policy) = (Drift::default(), GatePolicy::default());
        Line { base: right.clone(), right, drift, policy }
    }

    /// Shows the gate a candidate with these items; promoted, it is the line's end. What the user taught has no base.
    fn cycle(&mut self, after: BTreeMap<SuiteKind, Vec<bool>>) -> (Verdict, String) {
        let score = |correct: bool| Score { correct: Some(correct), loss: 1.0 };
        let pairs = |before: &BTreeMap<SuiteKind, Vec<bool>>| {
            let paired = |(kind, before): (&SuiteKind, &Vec<bool>)| {
                let both = before.iter().zip(&after[kind]);
                let pairs = both.map(|(b, a)| Pair { before: score(*b), after: score(*a) });
                (*kind, pairs.collect::<Vec<_>>())
            };
            before.iter().map(paired).collect::<BTreeMap<_, _>>()
        };
        let mut suites = pairs(&self.right);
        let learned = Pair { before: score(false), after: score(true) };
        suites.insert(SuiteKind::Taught, vec![learned; 2]);
        let mut since_base = pairs(&self.base);
        since_base.remove(&SuiteKind::Kept);
        let evidence = Evidence { suites, since_base, drift: self.drift.clone() };
        let decision = decide(&evidence, &self.policy);
        if decision.verdict == Verdict::Promote {
            self.drift = evidence.drift_after();
            self.right = after;
        }
        (decision.verdict, decision.reason)
    }
}

#[test]
fn a_slow_erosion_that_no_single_cycle_shows_is_stopped() {
    use SuiteKind::{Core, Kept, Refusals};
    use Verdict::{Hold, Reject};
    // Where the same items are compared with the base model's, that is proven first; what the user taught has no base.
    let by_drift = (13, Reject, "drifted down over the cycles (lost 7, won 0)");
    let by_base = (9, Hold, "since the base model");
    for (kind, has_base, expected) in [
        (Kept, false, by_drift),
        (Refusals, false, by_drift),
        (Core, false, by_drift),
        (Refusals, true, by_base),
        (Core, true, by_base),
    ] {
        let mut line = Line::new(&[(kind, 400)]);
        if !has_base {
            line.base.clear();
        }
        let mut blind = Line {
            policy: GatePolicy { e_alarm: f64::INFINITY, kept_floor: 0.0, ..line.policy.clone() },
            ..line.clone()
        };
        let mut lost = 0;
        let mut erode = |line: &mut Line| {
            (0..60).find_map(|cycle| {
                let mut after = line.right.clone();
                if cycle % 2 == 1 {
                    after.get_mut(&kind).unwrap()[lost] = false;
                    lost += 1;
                }
                let (verdict, reason) = line.cycle(after);
                (verdict != Verdict::Promote).then_some((cycle, verdict, reason))
            })
        };
        let stopped = erode(&mut line);
        let (cycle, verdict, reason) = stopped.expect("one item every second cycle is stopped");
        assert_eq!((cycle, verdict), (expected.0, expected.1), "{kind:?}: {reason}");
        assert!(reason.contains(expected.2), "{reason}");
        // Without the sum nothing sees it, but the comparison with the base model.
        assert_eq!(erode(&mut blind).is_some(), has_base, "{kind:?}");
        // A candidate that keeps what HEAD says goes through, and so does one that brings something back.
        let same = line.right.clone();
        assert_eq!(line.cycle(same).0, Verdict::Promote);
        let mut better = line.right.clone();
        better.get_mut(&kind).unwrap()[0] = true;
        assert_eq!(line.cycle(better).0, Verdict::Promote);
    }
}

#[test]
fn a_harmless_walk_is_seldom_stopped() {
    const WALKS: u64 = 60;
    const CYCLES: usize = 200;
    // Of each suite some items are near the line, and fall on either side by chance in every cycle.
    let suites =
        [(SuiteKind::Core, 240, 6), (SuiteKind::Refusals, 64, 2), (SuiteKind::Kept, 120, 3)];
    let (mut by_drift, mut stopped) = (0, 0);
    for walk in 0..WALKS {
        let mut random = Random::named(walk, "harmless");
        let mut line = Line::new(&suites.map(|(kind, n, _)| (kind, n)));
        let mut walk_on = |items: &BTreeMap<SuiteKind, Vec<bool>>| {
            let mut after = items.clone();
            for (kind, _, near) in suites {
                let items = &mut after.get_mut(&kind).unwrap()[..near];
                items.iter_mut().for_each(|right| *right = random.below(2) == 0);
            }
            after
        };
        line.base = walk_on(&line.base);
        line.right = line.base.clone();
        let mut seen = false;
        for _ in 0..CYCLES {
            let after = walk_on(&line.base);
            let (verdict, reason) = line.cycle(after);
            stopped += usize::from(verdict != Verdict::Promote);
            seen |= reason.contains("drifted");
        }
        by_drift += usize::from(seen);
    }
    let (walks, cycles) = (WALKS as f64, WALKS as f64 * CYCLES as f64);
    assert!(by_drift as f64 <= 0.05 * walks, "drift was seen in {by_drift} of {WALKS} walks");
    assert!(stopped as f64 <= 0.05 * cycles, "{stopped} of {cycles} cycles were stopped");
}
