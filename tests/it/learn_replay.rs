//! The replay buffer: draws in proportion and in strata, weights that undo their bias, eviction by kind, and what counts
//! as the same when it is taught.
//!
//! Numbers are held against the formulas, summed over many draws. Invariant: nothing here depends on a model.

use crate::learn_fake::{Fake, clock, open_at, suites};
use apprentice::learn::example::{Content, Example, Kind, NewExample, documents};
use apprentice::learn::gate::Verdict;
use apprentice::learn::learner::{LearnError, Learner};
use apprentice::learn::likeness::{NEAR, Signature, gist};
use apprentice::learn::replay::{Pool, Replay, anchors_max, evict, learnability};
use apprentice::learn::report::{LearnOptions, TeachReport};
use apprentice::learn::sum_tree::SumTree;
use apprentice::model::random::Random;
use apprentice::store::memory::MemoryStore;
use pollster::block_on;
use std::collections::HashSet;

fn example(question: &str, priority: f64) -> Example {
    NewExample::correction(question, "answer", None).stored(1, priority)
}

/// Examples of these priorities, all measured in cycle 1.
fn pool(settings: Replay, priorities: &[f64]) -> Pool {
    let make = |(i, p): (usize, &f64)| Example { measured: 1, ..example(&format!("q{i}"), *p) };
    let examples: Vec<Example> = priorities.iter().enumerate().map(make).collect();
    Pool::new(settings, examples.iter(), 1)
}

#[test]
fn a_sum_tree_adds_up_and_finds_what_has_mass() {
    let mut random = Random::new(4);
    for n in [1, 2, 5, 64, 100] {
        let mut masses: Vec<f64> = (0..n).map(|_| random.unit()).collect();
        let mut tree = SumTree::new(masses.iter().copied());
        for _ in 0..1000 {
            let (index, mass) = (random.below(n), 1e6 * random.unit());
            masses[index] = mass;
            tree.set(index, mass);
        }
        masses[n / 2] = 0.0;
        tree.set(n / 2, 0.0);
        let total: f64 = masses.iter().sum();
        assert!((tree.total() - total).abs() <= 1e-9 * total.max(1.0), "{n}");
        if n == 1 {
            continue;
        }
        // Every point is found where the plain sum of masses before it says.
        let mut passed = 0.0;
        for (index, mass) in masses.iter().enumerate().filter(|(_, mass)| **mass > 0.0) {
            assert_eq!(tree.find(passed + 0.5 * mass), index);
            passed += mass;
        }
        assert!(tree.mass(tree.find(tree.total())) > 0.0, "past the end");
    }
}

#[test]
fn draws_follow_priorities_and_strata() {
    let settings = Replay::default();
    let priorities = [0.05, 0.5, 2.05, 0.5];
    let masses: Vec<f64> = priorities.iter().map(|p: &f64| p.powf(settings.exponent)).collect();
    let total: f64 = masses.iter().sum();
    let (mut counts, mut random) = ([0; 4], Random::new(11));
    const ROUNDS: usize = 4000;
    let mut drawn = pool(settings, &priorities);
    for _ in 0..ROUNDS {
        for draw in drawn.draw(4, &mut random) {
            counts[draw.index] += 1;
        }
    }
    for (count, mass) in counts.iter().zip(&masses) {
        let got = f64::from(*count) / (4 * ROUNDS) as f64;
        assert!((got - mass / total).abs() < 0.01, "{got} for {}", mass / total);
    }
    // Equal priorities and as many draws as items: each exactly once, which plain draws would not give.
    for _ in 0..100 {
        let all = pool(settings, &[1.0; 5]).draw(5, &mut random);
        assert_eq!(all.iter().map(|draw| draw.index).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }
    assert!(pool(settings, &[]).draw(3, &mut random).is_empty());
    let same = |seed| pool(settings, &[1.0; 64]).draw(5, &mut Random::new(seed));
    assert_eq!(same(1), same(1));
    assert_ne!(same(1), same(2));
}

#[test]
fn importance_weights_undo_the_bias_of_draws() {
    // With b = 1 the weighted mean over draws is the plain mean of what is drawn, whatever the priorities.
    let settings = Replay { importance: 1.0, ..Replay::default() };
    let (priorities, values) = ([0.05, 0.3, 2.05, 1.0], [4.0, 1.0, -2.0, 7.0]);
    let mut random = Random::new(5);
    let weighted = |settings: Replay, random: &mut Random| {
        let (mut sum, mut weights) = (0.0, 0.0);
        let mut pool = pool(settings, &priorities);
        for _ in 0..20_000 {
            for draw in pool.draw(2, random) {
                assert!(draw.weight > 0.0 && draw.weight <= 1.0);
                sum += f64::from(draw.weight) * values[draw.index];
                weights += f64::from(draw.weight);
            }
        }
        sum / weights
    };
    let mean = values.iter().sum::<f64>() / 4.0;
    let corrected = weighted(settings, &mut random);
    assert!((corrected - mean).abs() < 0.1, "{corrected} for {mean}");
    let biased = weighted(Replay::default(), &mut random);
    assert!((biased - mean).abs() > 0.5, "without weights the draws' bias shows: {biased}");
}

#[test]
fn what_was_not_measured_for_long_rises_until_it_is_drawn() {
    let settings = Replay { exponent: 1.0, ..Replay::default() };
    let fresh = Example { measured: 40, ..example("fresh", 0.05) };
    let stale = Example { measured: 20, ..example("stale", 0.05) };
    assert_eq!(settings.priority(&fresh, 40), 0.05);
    assert!((settings.priority(&stale, 40) - 1.05).abs() < 1e-12);
    assert_eq!(settings.priority(&stale, 4000), 2.05, "never over what is new");
    let mut pool = Pool::new(settings, [fresh, stale].iter(), 40);
    // 1.05 of 1.10 of the mass, then half of it: it was rehearsed.
    let mut random = Random::new(3);
    let first = pool.draw(1, &mut random);
    assert_eq!(first[0].index, 1);
    let again = (0..2000).filter(|_| pool.draw(1, &mut random)[0].index == 1).count();
    assert!((900..1100).contains(&again), "{again}");
    assert_eq!(learnability(1.5, 1.0), 0.55);
    assert_eq!(learnability(0.5, 1.0), 0.05);
    assert_eq!(learnability(99.0, 1.0), 2.05, "noise does not win");
}

#[test]
fn eviction_spares_anchors_and_what_waits() {
    let make = |index: usize, kind, priority| {
        let mut example = example(&format!("question {index}?"), priority);
        (example.kind, example.created_ms) = (kind, index as u64);
        example
    };
    let mut all: Vec<Example> =
        (0..20).map(|i| make(i, Kind::Document, 1.0 - 0.04 * i as f64)).collect();
    all.extend((20..30).map(|i| make(i, Kind::Correction, 1.0)));
    all.extend((30..35).map(|i| make(i, Kind::Anchor, 0.05)));
    let waiting: HashSet<String> = HashSet::from([all[19].id.clone()]);
    let gone = |all: &[Example], capacity| {
        let refs: Vec<&Example> = all.iter().collect();
        let gone = evict(&refs, capacity, &waiting);
        gone.iter().map(|id| all.iter().position(|e| e.id == *id).unwrap()).collect::<Vec<_>>()
    };
    let first = gone(&all, 25);
    assert_eq!(first.len(), 10);
    assert!(first.iter().all(|at| *at < 19), "documents are over their share: {first:?}");
    // Priorities fall faster than ages rise: 0.28 × 0.975, where the oldest has 1 × 0.525.
    assert_eq!(first[0], 18, "the lowest worth that does not wait goes first");
    assert_eq!(gone(&all, 3).len(), 30, "anchors stay, even over the capacity");
    assert!(gone(&all, 35).is_empty());
    // Of equal priorities the oldest goes; what the user saw replaced is trusted more than what came blind.
    let mut equal: Vec<Example> = (0..4).map(|i| make(i, Kind::Correction, 1.0)).collect();
    assert_eq!(gone(&equal, 3), [0]);
    equal[0].rejected = Some("wrong".into());
    assert_eq!(gone(&equal, 3), [1]);
}

/// A passage of 60 words; `edit` words of it are others.
fn passage(edit: usize) -> String {
    let word = |i: usize| if i < edit { format!("other{i}") } else { format!("word{i}") };
    (0..60).map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn signatures_estimate_the_share_of_common_runs() {
    let plain = Signature::of(&passage(0)).unwrap();
    for edit in [0, 2, 5, 10, 20, 40] {
        // Edited words stand at the beginning, so runs from `edit` on are common: 58 - edit of 58 + edit.
        let jaccard = (58 - edit) as f64 / (58 + edit) as f64;
        let estimate = plain.similarity(&Signature::of(&passage(edit)).unwrap());
        let error = 4.0 * (jaccard * (1.0 - jaccard) / 128.0).sqrt();
        assert!((estimate - jaccard).abs() <= error, "{edit}: {estimate} for {jaccard}");
    }
    assert_eq!(Signature::of("a short text of few words"), None);
    assert_eq!(gist("What is the capital of Tarn?"), gist("what is capital of tarn, please"));
    assert_ne!(gist("What is the capital of Tarn?"), gist("What is not the capital of Tarn?"));
}

fn teach(learner: &mut Learner<MemoryStore>, new: NewExample) -> TeachReport {
    block_on(learner.teach(vec![new])).unwrap()
}

fn text(text: String) -> NewExample {
    documents(&text, "notes.md").remove(0)
}

fn asked(question: &str, answer: &str) -> NewExample {
    NewExample::correction(question, answer, None)
}

#[test]
fn the_same_is_kept_once_and_the_newer_of_two_that_exclude_each_other() {
    let mut learner = block_on(open_at(MemoryStore::new(), clock()));
    let counts = |r: TeachReport| (r.added, r.duplicates, r.replaced, r.total);
    let first = asked("What is the capital of Tarn?", "It is Juno.");
    assert_eq!(counts(teach(&mut learner, first.clone())), (1, 0, 0, 1));
    assert_eq!(counts(teach(&mut learner, first)), (0, 1, 0, 1));
    let corrected = asked("what is capital of Tarn", "It is Marn.");
    assert_eq!(counts(teach(&mut learner, corrected)), (1, 0, 1, 1));
    assert_eq!(
        counts(teach(&mut learner, asked("What is the capital of Galdor?", "It is Fenn."))),
        (1, 0, 0, 2)
    );
    // A new edition of a passage takes the place of the old one; another passage does not.
    assert!(
        Signature::of(&passage(0)).unwrap().similarity(&Signature::of(&passage(3)).unwrap())
            >= NEAR
    );
    assert_eq!(counts(teach(&mut learner, text(passage(0)))), (1, 0, 0, 3));
    assert_eq!(counts(teach(&mut learner, text(passage(3)))), (1, 0, 1, 3));
    assert_eq!(counts(teach(&mut learner, text(passage(40)))), (1, 0, 0, 4));
    let texts: Vec<&Content> = learner.examples().iter().map(|e| &e.content).collect();
    assert!(
        texts.contains(&&Content::Text(passage(3))) && !texts.contains(&&Content::Text(passage(0)))
    );
    // A long question is the same without its articles; with one name changed it is another.
    let long = |name: &str, the: &str| {
        let question = format!("In {the} house rules of {name}, {}?", passage(0));
        asked(&question, "Yes, it is.")
    };
    assert_eq!(counts(teach(&mut learner, long("Ada", "the"))), (1, 0, 0, 5));
    assert_eq!(counts(teach(&mut learner, long("Ada", ""))), (1, 0, 1, 5));
    assert_eq!(counts(teach(&mut learner, long("Bea", "the"))), (1, 0, 0, 6));
}

#[test]
fn more_anchors_than_their_share_are_refused() {
    let mut learner = block_on(open_at(MemoryStore::new(), clock()));
    let most = anchors_max(apprentice::learn::replay::CAPACITY);
    let anchor = |i: usize| NewExample { kind: Kind::Anchor, ..asked(&format!("q{i}"), "a") };
    block_on(learner.teach((0..most).map(anchor).collect())).unwrap();
    let refused = block_on(learner.teach(vec![anchor(most)]));
    assert!(matches!(refused, Err(LearnError::Anchors(n)) if n == most));
    assert_eq!(learner.examples().len(), most, "nothing was taken in");
}

#[test]
fn what_is_evicted_after_it_was_learned_is_still_examined() {
    block_on(async {
        let mut learner = Learner::open(MemoryStore::new(), clock(), 7).await.unwrap();
        learner = learner.with_suites(suites());
        let mut student = Fake::new();
        let lesson = asked("What is the capital of Freedonia?", "It is Fredville.");
        learner.teach(vec![lesson.clone()]).await.unwrap();
        let options = LearnOptions { screen: false, ..LearnOptions::default() };
        let report = learner.learn(&mut student, &options, &mut |_| {}).await.unwrap();
        assert_eq!(report.verdict, Verdict::Promote);
        // A flood of newer lessons pushes it out of the draws.
        let flood = (0..apprentice::learn::replay::CAPACITY)
            .map(|i| asked(&format!("Who is number {i}?"), &format!("It is {i}.")));
        learner.teach(flood.collect()).await.unwrap();
        let id = lesson.id();
        let kept = learner.examples().into_iter().find(|e| e.id == id).expect("it is still there");
        assert!(kept.retired);
        let kept = learner.eval(&mut student, Some("kept"), None, None, &mut |_| {}).await.unwrap();
        assert_eq!(kept.values().next().map(|line| (line.n, line.accuracy)), Some((1, Some(1.0))));
        // Taught again when there is room, it comes back.
        let other = learner.pending()[0].id.clone();
        learner.delete_example(&other).await.unwrap();
        let report = learner.teach(vec![lesson]).await.unwrap();
        assert_eq!(report.duplicates, 1);
        let back = learner.examples().into_iter().find(|e| e.id == id).unwrap();
        assert!(!back.retired);
    });
}
