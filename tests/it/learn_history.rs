//! Tags, branches and checkouts on the table student: names mean versions wherever one is asked for, and keep them.
//!
//! Invariant: every move of a name is one write with its journal line.

use crate::learn_fake::{Fake, open};
use apprentice::learn::example::NewExample;
use apprentice::learn::learner::{LearnError, Learner};
use apprentice::learn::prune::ANCESTORS;
use apprentice::learn::report::{Action, LearnOptions};
use apprentice::store::Store;
use apprentice::store::memory::{Crash, MemoryStore};
use pollster::block_on;

/// A fact of its own for each number.
pub fn fact(number: usize) -> NewExample {
    let start = ["Syl", "Bor", "Fre", "El", "Ru"][number % 5];
    let middle = ["da", "du", "do", "bo", "ri", "ma", "sta"][number / 5 % 7];
    let country = format!("{start}{middle}{}via", "na".repeat(number / 35));
    let question = format!("What is the capital of {country}?");
    NewExample::correction(&question, &format!("The capital of {country} is Town{number}."), None)
}

/// Teaches facts and learns them in one cycle; returns HEAD.
pub async fn learn<S: Store>(
    learner: &mut Learner<S>,
    student: &mut Fake,
    facts: &[usize],
) -> String {
    learner.teach(facts.iter().map(|number| fact(*number)).collect()).await.unwrap();
    learner.learn(student, &LearnOptions::default(), &mut |_| {}).await.unwrap();
    learner.head().expect("the cycle was promoted").id.clone()
}

#[test]
fn names_mean_versions_wherever_one_is_asked_for() {
    block_on(async {
        let store = MemoryStore::new();
        let (mut learner, mut student) = (open(store.clone()).await, Fake::new());
        let one = learn(&mut learner, &mut student, &[0]).await;
        learner.tag("first", None, false).await.unwrap();
        let two = learn(&mut learner, &mut student, &[1]).await;
        learner.tag("empty", Some("base"), false).await.unwrap();
        let means = |name: &str, learner: &Learner<MemoryStore>| learner.resolve(name).unwrap();
        assert_eq!(means("first", &learner), Some(one.clone()));
        assert_eq!(means("HEAD", &learner), Some(two.clone()));
        assert_eq!(means("HEAD~1", &learner), Some(one.clone()));
        assert_eq!(means("HEAD~2", &learner), None);
        assert_eq!(means("empty", &learner), None);
        assert_eq!(means(&two[..9], &learner), Some(two.clone()));
        assert!(matches!(learner.resolve("HEAD~3"), Err(LearnError::NoVersion(_))));
        assert!(matches!(learner.resolve("nothing"), Err(LearnError::NoVersion(_))));
        for bad in ["", "base", "HEAD", "a b", "-x", "0123456789abcdef", "first", "ä"] {
            assert!(learner.tag(bad, None, false).await.is_err(), "{bad:?} is no new name");
        }
        learner.tag("first", Some(&two), true).await.unwrap();
        assert_eq!(means("first", &learner), Some(two.clone()));
        learner.rollback(&mut student, Some("HEAD~1")).await.unwrap();
        assert_eq!(learner.head().unwrap().id, one);

        let again = open(store.clone()).await;
        assert_eq!(again.names(), learner.names(), "names are durable");
        assert_eq!(again.audit().await.unwrap().breaks, [] as [String; 0]);
        learner.remove_name("first").await.unwrap();
        assert!(learner.resolve("first").is_err() && learner.remove_name("first").await.is_err());
        let tags = learner.log().iter().filter(|entry| entry.action == Action::Tag).count();
        assert_eq!(tags, 4, "each move has a line");
    });
}

#[test]
fn a_branch_goes_on_with_what_is_learned_on_it() {
    block_on(async {
        let store = MemoryStore::new();
        let (mut learner, mut student) = (open(store.clone()).await, Fake::new());
        let root = learn(&mut learner, &mut student, &[0]).await;
        learner.branch("work", None).await.unwrap();
        learner.branch("home", None).await.unwrap();
        learner.checkout(&mut student, "work").await.unwrap();
        let work = learn(&mut learner, &mut student, &[1]).await;
        assert_eq!(learner.resolve("work").unwrap(), Some(work.clone()));
        assert_eq!(learner.resolve("home").unwrap(), Some(root.clone()));
        learner.checkout(&mut student, "home").await.unwrap();
        // What was learned on the other branch waits here.
        assert_eq!(learner.pending().len(), 1);
        let home = learn(&mut learner, &mut student, &[2]).await;
        let mut learner = open(store.clone()).await;
        assert_eq!(learner.names().current.as_deref(), Some("home"));
        assert_eq!(learner.resolve("home").unwrap(), Some(home.clone()));
        assert!(learner.remove_name("home").await.is_err(), "HEAD is on it");
        // Off a branch, none moves.
        learner.checkout(&mut student, &root).await.unwrap();
        learn(&mut learner, &mut student, &[3]).await;
        assert_eq!(learner.resolve("work").unwrap(), Some(work));
        assert_eq!(learner.resolve("home").unwrap(), Some(home));
    });
}

#[test]
fn what_a_name_means_is_neither_pruned_nor_collected() {
    block_on(async {
        let store = MemoryStore::new();
        let (mut learner, mut student) = (open(store.clone()).await, Fake::new());
        let one = learn(&mut learner, &mut student, &[0]).await;
        learner.tag("first", None, false).await.unwrap();
        learner.branch("old", None).await.unwrap();
        let two = learn(&mut learner, &mut student, &[1]).await;
        let adapter = learner.adapter_named("first").await.unwrap();
        for number in 2..ANCESTORS + 8 {
            learn(&mut learner, &mut student, &[number]).await;
        }
        assert!(learner.resolve(&two).is_err(), "what has no name is pruned");
        let mut learner = open(store.clone()).await;
        assert_eq!(learner.versions().len(), ANCESTORS + 2);
        assert_eq!(learner.adapter_named("first").await.unwrap(), adapter);
        learner.checkout(&mut student, "old").await.unwrap();
        assert_eq!(learner.head().unwrap().id, one);
        assert_eq!(learner.pending().len(), ANCESTORS + 7, "it never learned the rest");
    });
}

#[test]
fn a_move_of_a_name_happens_or_does_not() {
    block_on(async {
        let origin = MemoryStore::new();
        let (mut learner, mut student) = (open(origin.clone()).await, Fake::new());
        learn(&mut learner, &mut student, &[0]).await;
        learner.branch("work", None).await.unwrap();
        learn(&mut learner, &mut student, &[1]).await;
        for after in 0..2 {
            let store = origin.fork();
            store.plant(Crash { after, torn: false });
            let mut learner = open(store.clone()).await;
            let moved = learner.checkout(&mut student, "work").await;
            let tagged = learner.tag("now", None, false).await;
            assert_eq!((moved.is_ok(), tagged.is_ok()), (after > 0, false));
            let left = (learner.head().unwrap().id.clone(), learner.names().clone());
            let again = open(store.reopen()).await;
            assert_eq!((again.head().unwrap().id.clone(), again.names().clone()), left);
            assert_eq!(again.audit().await.unwrap().breaks, [] as [String; 0]);
        }
    });
}
