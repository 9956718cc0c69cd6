//! The gate's numbers against FACTS.md 4.4, and its decisions on planted evidence.

use apprentice::learn::drift::Drift;
use apprentice::learn::gate::{
    Evidence, Finding, GatePolicy, Pair, Score, SuiteKind, Verdict, can_pass, decide, judge, report,
};
use apprentice::learn::report::CycleReport;
use apprentice::learn::stats::{EProcess, mcnemar, outlying_above, paired_t, t_cdf};
use apprentice::model::random::Random;
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
    drift: Drift,
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
    use SuiteKind::{Core, Documents, Everyday, Kept, Language, Refusals, Taught, Variety};
    let taught = || (Taught, answers(0, 0, 12, 0));
    let none = Drift::default;
    let case = |name, suites, expected, mentions| {
        check(Case { name, suites, drift: none(), expected, mentions });
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
    case("has few words left", with(Variety, texts(12, 0.9, 0.1)), Reject, "variety of everyday");
    case("has words enough", with(Variety, texts(12, 0.2, 0.1)), Promote, "");
    case("has more words", with(Variety, texts(12, -0.4, 0.1)), Promote, "");
    case("text noisy", with(Language, texts(8, 0.06, 0.2)), Hold, "neutral text");
    case("text at the normal's end", with(Language, texts(40, 0.06, 0.03)), Promote, "");
    case("refusals gone", with(Refusals, answers(30, 20, 0, 10)), Reject, "refusals");
    case("earlier lessons gone", with(Kept, answers(12, 8, 0, 0)), Reject, "earlier lessons");
    case("earlier lessons 3 of 20", with(Kept, answers(17, 3, 0, 0)), Hold, "earlier lessons");
    case("one of 64 earlier lessons", with(Kept, answers(63, 1, 0, 0)), Promote, "63 of 64");
    case("one more under the floor", with(Kept, answers(56, 1, 0, 7)), Hold, "earlier lessons");
    case("no fewer under the floor", with(Kept, answers(55, 1, 1, 7)), Promote, "56 of 64");
    case("learned little", with(Taught, answers(0, 0, 2, 10)), Hold, "learned only 2 of 12");
    case("unlearned", with(Taught, answers(4, 2, 0, 0)), Reject, "before");
    case("no better", with(Taught, answers(4, 0, 0, 0)), Hold, "no better");
    case("documents", vec![(Documents, texts(10, -0.3, 0.1))], Promote, "2.70");
    case("documents, unclear", vec![(Documents, texts(10, -0.02, 0.3))], Hold, "not clearly");
    case("documents, worse", vec![(Documents, texts(10, 0.3, 0.1))], Reject, "worse at");
    case("nothing measured", vec![(Core, answers(9, 0, 0, 0))], Hold, "nothing that was taught");
}

/// A cycle that learned what it was taught, with this of core knowledge.
#[track_caller]
fn check_core(
    name: &'static str,
    (core, drift): (Vec<Pair>, Drift),
    expected: Verdict,
    mentions: &'static str,
) {
    let suites = vec![(SuiteKind::Taught, answers(0, 0, 12, 0)), (SuiteKind::Core, core)];
    check(Case { name, suites, drift, expected, mentions });
}

#[test]
fn small_losses_in_every_cycle_add_up() {
    let drift = |losses, gains| Drift::default().with(SuiteKind::Core, losses, gains);
    let name = "a loss too small for one cycle";
    let told = "core knowledge drifted down over the cycles (lost 24, won 8), which chance explains once \
         in 24";
    check_core(name, (answers(100, 5, 2, 93), drift(19, 6)), Verdict::Reject, told);
    let name = "what many cycles have lost does not stop one that loses nothing";
    check_core(name, (answers(100, 2, 2, 96), drift(24, 8)), Verdict::Promote, "");
}

#[test]
fn answers_that_are_right_but_less_sure() {
    let sure = |fall: f64, spread: f64| {
        let answered = |pair: Pair| {
            let score = |loss: f64| Score { correct: Some(true), loss: loss - 4.0 };
            Pair { before: score(pair.before.loss), after: score(pair.after.loss) }
        };
        // Margins of one nat.
        let core: Vec<Pair> = texts(40, fall, spread).into_iter().map(answered).collect();
        (core, Drift::default())
    };
    use Verdict::{Hold, Promote, Reject};
    check_core("somewhat less sure", sure(0.1, 0.2), Promote, "unchanged");
    check_core("perhaps less sure", sure(0.17, 0.2), Hold, "less sure");
    check_core("less sure", sure(0.3, 0.2), Reject, "lead by 0.30 of 1.00");
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

#[test]
fn a_suite_is_given_up_only_when_nothing_can_save_it() {
    let policy = GatePolicy::default();
    let mut random = Random::new(5);
    let (mut given_up, mut failed) = (0, 0);
    for round in 0..2000 {
        let kinds = [SuiteKind::Core, SuiteKind::Refusals, SuiteKind::Kept, SuiteKind::Everyday];
        let kind = kinds[round % kinds.len()];
        let n = 16 + random.below(80);
        let worse = random.below(40);
        let pairs: Vec<Pair> = (0..n)
            .map(|_| {
                let before = random.below(10) > 1;
                let after = if random.below(100) < worse { !before } else { before };
                let score = |correct: bool| Score { correct: Some(correct), loss: 1.0 };
                Pair { before: score(before), after: score(after) }
            })
            .collect();
        let before: Vec<Score> = pairs.iter().map(|pair| pair.before).collect();
        let after: Vec<Score> = pairs.iter().map(|pair| pair.after).collect();
        let fails = judge(kind, &pairs, &policy) != Finding::Pass;
        let at = (0..=n).find(|asked| !can_pass(kind, &before, &after[..*asked], &policy));
        // What is given up fails when it is asked to the end, and what fails is given up at the latest there.
        assert_eq!(at.is_some(), fails, "{kind:?}, {n} items");
        failed += usize::from(fails);
        given_up += usize::from(at.is_some_and(|at| at < n));
    }
    assert!(
        failed > 500 && given_up * 2 > failed,
        "{given_up} of {failed} failures were seen early"
    );
    // Texts are read to the end.
    let texts = texts(40, 2.0, 0.1);
    let before: Vec<Score> = texts.iter().map(|pair| pair.before).collect();
    let after: Vec<Score> = texts.iter().map(|pair| pair.after).collect();
    assert!(can_pass(SuiteKind::Language, &before, &after[..39], &policy));
}

#[test]
fn the_report_is_for_a_person() {
    let suites: BTreeMap<SuiteKind, Vec<Pair>> = BTreeMap::from([
        (SuiteKind::Taught, answers(0, 0, 9, 1)),
        (SuiteKind::Core, answers(203, 1, 0, 36)),
        (SuiteKind::Refusals, answers(52, 6, 0, 2)),
    ]);
    let decision = decide(&Evidence { suites, ..Evidence::default() }, &GatePolicy::default());
    let told = CycleReport {
        verdict: decision.verdict,
        reason: decision.reason,
        version: None,
        suites: decision.suites,
        loss_first: 0.0,
        loss_last: 0.0,
        seconds: 0.0,
        scale: 1.0,
        learned: 9,
        taught: 10,
        notes: Vec::new(),
    }
    .told();
    assert_eq!(
        told,
        "Learned 9 of 10. Core knowledge 203 of 240 (was 204). Refusals 52 of 60 (was 58). \
         Rejected: refusals fell by 6 of 60 (lost 6, won 0), which chance explains once in 64."
    );
}

#[test]
fn what_stands_out_does_so_from_the_median() {
    let close = |value: f64, wanted: f64| assert!((value - wanted).abs() < 1e-9, "{value}");
    // Median 3, median deviation 1: one far value moves neither.
    close(outlying_above(&[1.0, 2.0, 3.0, 4.0, 500.0]), 3.0 + 3.5 * 1.4826);
    // All alike: a tenth of the median stands for what was not seen.
    close(outlying_above(&[2.0; 8]), 2.0 + 3.5 * 0.2);
}
