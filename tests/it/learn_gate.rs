//! The gate's numbers against FACTS.md 4.4, and its decisions on planted evidence.

use apprentice::learn::gate::{
    Evidence, GatePolicy, Pair, Score, SuiteKind, Verdict, decide, report,
};
use apprentice::learn::stats::{EProcess, mcnemar, paired_t, t_cdf};
use std::collections::BTreeMap;

#[track_caller]
fn near(value: f64, expected: f64, tolerance: f64) {
    assert!((value - expected).abs() <= tolerance, "{value} is not {expected} +- {tolerance}");
}

#[test]
fn computed_values_of_the_facts() {
    near(mcnemar(12, 4), 0.038, 0.0005);
    near(mcnemar(8, 3), 0.113, 0.0005);
    near(mcnemar(0, 0), 1.0, 1e-12);
    near(mcnemar(5, 0), 1.0 / 32.0, 1e-12);
    near(EProcess { losses: 24, gains: 8 }.e_value(), 24.7, 0.05);
    near(EProcess { losses: 12, gains: 4 }.e_value(), 4.1, 0.05);
    near(EProcess::default().e_value(), 1.0, 1e-12);
    assert!(EProcess { losses: 4000, gains: 1000 }.e_value() > 1e100);
}

#[test]
fn student_t_against_tables() {
    near(t_cdf(1.812, 10.0), 0.95, 1e-4);
    near(t_cdf(6.314, 1.0), 0.95, 1e-4);
    near(t_cdf(-2.042, 30.0), 0.025, 1e-4);
    let interval = paired_t(&[1.0, 2.0, 3.0, 4.0]);
    near(interval.mean, 2.5, 1e-12);
    // s = 1.29099, error 0.645497, t(3, 95 %) = 2.353363.
    near(interval.lower, 2.5 - 2.353363 * 0.645497, 1e-5);
    near(interval.p_above, 0.01514, 1e-4);
    assert_eq!(paired_t(&[0.2, 0.2, 0.2]).p_above, 0.0);
    assert_eq!(paired_t(&[0.3]).upper, f64::INFINITY);
}

/// Pairs: `kept` right on both sides, then `lost`, `won`, and `wrong` on both.
fn answers(kept: usize, lost: usize, won: usize, wrong: usize) -> Vec<Pair> {
    let pair = |before, after| Pair {
        before: Score { correct: Some(before), loss: if before { 1.0 } else { 2.0 } },
        after: Score { correct: Some(after), loss: if after { 1.0 } else { 2.0 } },
    };
    let groups = [
        (kept, pair(true, true)),
        (lost, pair(true, false)),
        (won, pair(false, true)),
        (wrong, pair(false, false)),
    ];
    groups.iter().flat_map(|(n, pair)| std::iter::repeat_n(*pair, *n)).collect()
}

/// `n` texts whose loss changes by `mean`, half of them `spread` more and half less.
fn texts(n: usize, mean: f64, spread: f64) -> Vec<Pair> {
    let pair = |i: usize| {
        let change = mean + if i.is_multiple_of(2) { spread } else { -spread };
        let score = |loss| Score { correct: None, loss };
        Pair { before: score(3.0), after: score(3.0 + change) }
    };
    (0..n).map(pair).collect()
}

#[test]
fn small_losses_do_not_add_up_over_cycles() {
    let policy = GatePolicy::default();
    // A cycle that loses one refusal of 24 is let through; the second and third are not, though each is as small.
    let suites = BTreeMap::from([
        (SuiteKind::Taught, answers(0, 0, 5, 0)),
        (SuiteKind::Refusals, answers(23, 1, 0, 0)),
    ]);
    for (lost, expected) in [(1, Verdict::Promote), (2, Verdict::Hold), (8, Verdict::Hold)] {
        let since_base = BTreeMap::from([(SuiteKind::Refusals, answers(24 - lost, lost, 0, 0))]);
        let evidence = Evidence { suites: suites.clone(), since_base, ..Evidence::default() };
        let decision = decide(&evidence, &policy);
        assert_eq!(decision.verdict, expected, "{lost}: {}", decision.reason);
        assert_eq!(decision.reason.contains("since the base model, refusals"), lost > 1);
    }
}

struct Case {
    name: &'static str,
    suites: Vec<(SuiteKind, Vec<Pair>)>,
    drift: EProcess,
    expected: Verdict,
    mentions: &'static str,
}

#[track_caller]
fn check(case: Case) {
    let suites = case.suites.into_iter().collect();
    let evidence = Evidence { suites, drift: case.drift, ..Evidence::default() };
    let decision = decide(&evidence, &GatePolicy::default());
    let name = case.name;
    assert_eq!(decision.verdict, case.expected, "{name}: {}", decision.reason);
    assert!(decision.reason.contains(case.mentions), "{name}: {}", decision.reason);
}

#[test]
fn planted_cases() {
    use SuiteKind::{Core, Documents, Everyday, Kept, Language, Refusals, Taught};
    let taught = || (Taught, answers(0, 0, 12, 0));
    let none = EProcess::default();
    let case = |name, suites, expected, mentions| {
        check(Case { name, suites, drift: none, expected, mentions });
    };
    let good = || {
        vec![
            taught(),
            (Core, answers(100, 3, 2, 95)),
            (Language, texts(40, 0.03, 0.02)),
            (Refusals, answers(50, 1, 0, 9)),
            (Kept, answers(20, 0, 0, 0)),
        ]
    };
    let with = |kind, pairs| {
        let mut suites = good();
        suites.retain(|(k, _)| *k != kind);
        suites.push((kind, pairs));
        suites
    };
    use Verdict::{Hold, Promote, Reject};
    case("a normal good cycle", good(), Promote, "learned 12 of 12");
    case("one lesson", vec![(Taught, answers(0, 0, 1, 0))], Promote, "1 of 1");
    case(
        "core 12/4",
        with(Core, answers(100, 12, 4, 84)),
        Reject,
        "core knowledge fell by 8 of 200 (lost 12, won 4), which chance explains once in 26",
    );
    case("core 8/1 of 200", with(Core, answers(100, 8, 1, 91)), Reject, "fell by 7");
    case("core 12/5 of 200", with(Core, answers(100, 12, 5, 83)), Hold, "once in 13");
    case(
        "core 8/3 of 200",
        with(Core, answers(100, 8, 3, 89)),
        Promote,
        "core knowledge 103 of 200 (was 108)",
    );
    case("core one of ten", with(Core, answers(5, 1, 0, 4)), Promote, "");
    case("text much worse", with(Language, texts(40, 0.3, 0.05)), Reject, "neutral text");
    let talk = |change| {
        let answered = |pair: Pair| Pair {
            before: Score { correct: Some(true), ..pair.before },
            after: Score { correct: Some(true), ..pair.after },
        };
        texts(12, change, 0.1).into_iter().map(answered).collect()
    };
    case("talks otherwise", with(Everyday, talk(0.8)), Reject, "everyday answers is worse");
    case("talks nearly so", with(Everyday, talk(0.3)), Promote, "");
    case("text noisy", with(Language, texts(8, 0.06, 0.2)), Hold, "neutral text");
    case("text at the normal's end", with(Language, texts(40, 0.06, 0.03)), Promote, "");
    case("refusals gone", with(Refusals, answers(30, 20, 0, 10)), Reject, "refusals");
    case("earlier lessons gone", with(Kept, answers(12, 8, 0, 0)), Reject, "earlier lessons");
    case("earlier lessons 3 of 20", with(Kept, answers(17, 3, 0, 0)), Hold, "earlier lessons");
    case("one of 64 earlier lessons", with(Kept, answers(63, 1, 0, 0)), Promote, "63 of 64");
    case("one more under the floor", with(Kept, answers(56, 1, 0, 7)), Hold, "earlier lessons");
    case("no fewer under the floor", with(Kept, answers(55, 1, 1, 7)), Promote, "56 of 64");
    case("learned little", with(Taught, answers(0, 0, 5, 7)), Hold, "learned only 5 of 12");
    case("unlearned", with(Taught, answers(4, 2, 0, 0)), Reject, "before");
    case("no better", with(Taught, answers(4, 0, 0, 0)), Hold, "no better");
    case("documents", vec![(Documents, texts(10, -0.3, 0.1))], Promote, "2.70");
    case("documents, unclear", vec![(Documents, texts(10, -0.02, 0.3))], Hold, "not clearly");
    case("documents, worse", vec![(Documents, texts(10, 0.3, 0.1))], Reject, "worse at");
    case("nothing measured", vec![(Core, answers(9, 0, 0, 0))], Hold, "nothing that was taught");
    check(Case {
        name: "small losses in every cycle add up",
        suites: with(Core, answers(100, 5, 2, 93)),
        drift: EProcess { losses: 19, gains: 6 },
        expected: Reject,
        mentions: "drifted",
    });
}

#[test]
fn reports_state_shares_and_losses() {
    let core = report(SuiteKind::Core, &answers(6, 3, 1, 0));
    assert_eq!((core.before, core.after, core.n), (0.9, 0.7, 10));
    near(core.p, mcnemar(3, 1), 1e-12);
    let taught = report(SuiteKind::Taught, &answers(0, 0, 3, 1));
    near(taught.p, 0.125, 1e-12);
    let language = report(SuiteKind::Language, &texts(10, 0.5, 0.1));
    near(language.after, 3.5, 1e-9);
    assert!(language.p < 0.001);
}
