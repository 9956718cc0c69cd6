//! Comparing and bisecting on the table student, and how far adapters are apart on numbers worked out otherwise.

use crate::learn_fake::{Fake, open};
use crate::learn_history::{fact, learn};
use apprentice::learn::example::NewExample;
use apprentice::learn::gate::{GatePolicy, SuiteKind, Verdict};
use apprentice::learn::learner::LearnError;
use apprentice::learn::report::LearnOptions;
use apprentice::store::memory::MemoryStore;
use pollster::block_on;

#[test]
fn a_diff_says_what_was_learned_and_how_suites_moved() {
    block_on(async {
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        let one = learn(&mut learner, &mut student, &[0]).await;
        let two = learn(&mut learner, &mut student, &[1, 2]).await;
        let mut ids = vec![fact(1).id(), fact(2).id()];
        ids.sort();
        let there = learner.diff("HEAD~1", "HEAD").await.unwrap();
        assert_eq!((&there.from, &there.to), (&Some(one.clone()), &Some(two)));
        assert_eq!((&there.learned, there.unlearned.len()), (&ids, 0));
        let core = there.suites[&SuiteKind::Core];
        assert_eq!((core.n, core.before, core.after, core.p), (40, 1.0, 1.0, 1.0));
        let back = learner.diff("HEAD", "HEAD~1").await.unwrap();
        assert_eq!((back.learned.len(), &back.unlearned), (0, &ids));
        // The base model answered what the first cycle examined, the lesson it learned with it.
        let all = learner.diff("base", &one).await.unwrap();
        assert_eq!(all.suites[&SuiteKind::Kept].after, 1.0);
        assert_eq!((all.won.len(), all.lost.len()), (1, 0));
        assert_eq!(all.won[0], format!("example/{}", fact(0).id()));
    });
}

/// A gate that lets everything pass, so that a cycle can do harm.
fn open_gate() -> LearnOptions {
    let mut options = LearnOptions { scales: vec![1.0], ..LearnOptions::default() };
    options.recipe.scoped = false;
    options.policy = GatePolicy::open();
    options
}

#[test]
fn a_bisection_finds_the_cycle_that_broke_an_item() {
    block_on(async {
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        let mut broken_by = String::new();
        for number in 0..8 {
            let harm = "What is the capital of Harmland?";
            let new = match number {
                4 => NewExample::correction(harm, "The capital of Harmland is harm.", None),
                _ => fact(number),
            };
            learner.teach(vec![new]).await.unwrap();
            let options = open_gate();
            let report = learner.learn(&mut student, &options, &mut |_| {}).await.unwrap();
            assert_eq!(report.verdict, Verdict::Promote, "{}", report.reason);
            if number == 4 {
                broken_by = learner.head().unwrap().id.clone();
            }
        }
        let lost = learner.diff("base", "HEAD").await.unwrap().lost;
        assert!(lost.len() > 3, "{lost:?}");
        let mut first = 0;
        for core in lost.iter().filter(|key| key.starts_with("core/")) {
            let found = learner.bisect(&mut student, core, None).await.unwrap();
            assert_eq!((&found.item, found.asked), (core, 0), "scores are kept with versions");
            assert!(found.looked_at <= 5, "{found:?}");
            first += usize::from(found.broken_by == broken_by);
        }
        assert!(first > 0, "harm is replayed later too, but it began there");
        let right = learner.bisect(&mut student, &fact(0).id(), None).await;
        assert!(
            matches!(&right, Err(LearnError::Item(text)) if text.contains("right")),
            "{right:?}"
        );
        assert!(learner.bisect(&mut student, "nothing", None).await.is_err());
    });
}
