//! Pruning: a long life keeps few versions, and what HEAD has learned does not change by it; not by a crash either.
//!
//! On the student that is a table. Invariant: a version that is kept can be served.

use crate::learn_fake::{Fake, open_at};
use apprentice::learn::example::NewExample;
use apprentice::learn::learner::{LearnError, Learner};
use apprentice::learn::prune::ANCESTORS;
use apprentice::learn::report::LearnOptions;
use apprentice::store::memory::{Crash, MemoryStore};
use apprentice::store::{Store, Table};
use pollster::block_on;
use std::cell::Cell;
use std::rc::Rc;

const LAND: [&str; 5] = ["Syl", "Bor", "Fre", "El", "Ru"];
const END: [&str; 8] = ["davia", "duria", "donia", "bonia", "ritania", "mark", "stan", "terra"];

/// A fact of its own for each number.
fn fact(number: usize) -> NewExample {
    let country = format!("{}{}", LAND[number / END.len()], END[number % END.len()]);
    let question = format!("What is the capital of {country}?");
    NewExample::correction(&question, &format!("The capital of {country} is Town{number}."), None)
}

/// A learner whose clock ticks once a question.
async fn opened(store: MemoryStore) -> Learner<MemoryStore> {
    let now = Rc::new(Cell::new(1_000_000));
    let tick = move || {
        now.set(now.get() + 1);
        now.get()
    };
    open_at(store, Box::new(tick)).await
}

/// Learns a fact a cycle. The student is the same for all of a life: what its adapters mean is in it.
async fn live(
    learner: &mut Learner<MemoryStore>,
    student: &mut Fake,
    numbers: std::ops::Range<usize>,
) {
    for number in numbers {
        learner.teach(vec![fact(number)]).await.unwrap();
        let options = LearnOptions::default();
        learner.learn(student, &options, &mut |_| {}).await.unwrap();
        assert!(learner.pending().is_empty(), "{:?}", learner.log().last());
    }
}

#[test]
fn a_long_life_keeps_few_versions_and_all_that_it_learned() {
    block_on(async {
        let store = MemoryStore::new();
        let mut learner = opened(store.clone()).await;
        live(&mut learner, &mut Fake::new(), 0..ANCESTORS + 9).await;
        let kept = ANCESTORS + 1;
        assert_eq!(learner.versions().len(), kept);
        assert_eq!(store.list_blobs().await.unwrap().len(), kept);
        assert_eq!(store.list(Table::Versions).await.unwrap().len(), kept);
        let head = learner.head().unwrap().id.clone();
        // Another program opens it: nothing waits to be learned again, and every version can be served.
        drop(learner);
        let mut learner = opened(store.clone()).await;
        assert_eq!(learner.warnings(), [] as [String; 0]);
        assert_eq!(learner.head().unwrap().id, head);
        assert!(learner.pending().is_empty(), "{} wait", learner.pending().len());
        let whole = learner.head_adapter().await.unwrap().unwrap().to_bytes().len();
        for version in learner.versions() {
            learner.adapter_of(version).await.unwrap();
            let is_whole = store.bytes_of(&version.adapter) == whole;
            assert_eq!(is_whole, version.id == head, "ancestors are kept in fewer bytes");
        }
        // Behind the oldest there is nothing to go back to, and that is told.
        let oldest = learner.versions()[0].id.clone();
        let mut student = Fake::new();
        learner.rollback(&mut student, Some(&oldest)).await.unwrap();
        let told = learner.rollback(&mut student, None).await;
        assert!(matches!(told, Err(LearnError::NoVersion(_))), "{told:?}");
        assert!(!learner.pending().is_empty(), "what came after the oldest waits again");
        assert!(learner.pending().len() <= ANCESTORS);
    });
}

#[test]
fn an_example_of_a_pruned_version_is_forgotten_with_all_that_descends_from_it() {
    block_on(async {
        let mut learner = opened(MemoryStore::new()).await;
        live(&mut learner, &mut Fake::new(), 0..ANCESTORS + 3).await;
        let report = learner.delete_example(&fact(0).id()).await.unwrap();
        assert!(report.head_moved && report.head.is_none());
        assert!(learner.versions().is_empty());
        assert_eq!(learner.pending().len(), ANCESTORS + 2);
    });
}

#[test]
fn a_crash_while_pruning_loses_nothing() {
    block_on(async {
        let origin = MemoryStore::new();
        let mut student = Fake::new();
        live(&mut opened(origin.clone()).await, &mut student, 0..ANCESTORS + 1).await;
        let whole = origin.fork();
        whole.plant(Crash { after: usize::MAX, torn: false });
        let mut learner = opened(whole.clone()).await;
        live(&mut learner, &mut student, ANCESTORS + 1..ANCESTORS + 2).await;
        let mut pruned = [false, false];
        for after in 0..whole.writes() {
            let store = origin.fork();
            store.plant(Crash { after, torn: true });
            let mut learner = opened(store.clone()).await;
            let new = fact(ANCESTORS + 1);
            if learner.teach(vec![new.clone()]).await.is_ok() {
                learner.learn(&mut student, &LearnOptions::default(), &mut |_| {}).await.ok();
            }
            let store = store.reopen();
            let learner = opened(store.clone()).await;
            assert_eq!(learner.warnings(), [] as [String; 0], "crash after {after}");
            let waiting: Vec<String> = learner.pending().iter().map(|e| e.id.clone()).collect();
            assert!(waiting.iter().all(|id| *id == new.id()), "crash after {after}: {waiting:?}");
            let versions = learner.versions().len();
            assert_eq!(versions, ANCESTORS + 1, "crash after {after}");
            let adapters = store.list_blobs().await.unwrap().len();
            // A run that may go on has three blobs.
            let cut_off = store.get(Table::Refs, "checkpoint").await.unwrap().is_some();
            assert_eq!(
                adapters,
                versions + 3 * usize::from(cut_off),
                "adapters lie around after a crash at {after}"
            );
            let is_first = learner.versions().iter().any(|version| version.parent.is_none());
            pruned[usize::from(!is_first)] = true;
        }
        assert_eq!(pruned, [true, true], "crashes hit before and after the pruning write");
    });
}

#[test]
fn the_journal_keeps_every_line() {
    block_on(async {
        let store = MemoryStore::new();
        let mut learner = opened(store.clone()).await;
        let options =
            LearnOptions { steps_max: Some(1), sample: Some(1), ..LearnOptions::default() };
        let mut student = Fake::new();
        let unlearnable = NewExample::correction("What is Elbonia?", "An unlearnable one.", None);
        learner.teach(vec![unlearnable]).await.unwrap();
        for _ in 0..600 {
            learner.learn(&mut student, &options, &mut |_| {}).await.unwrap();
        }
        let numbers: Vec<u64> = learner.log().iter().map(|entry| entry.number).collect();
        assert_eq!(numbers, (1..=600).collect::<Vec<u64>>());
        let records = store.list(Table::Journal).await.unwrap();
        let bytes: usize = records.iter().map(|(_, record)| record.len()).sum();
        assert!(bytes < 600 * 2000, "{bytes} bytes of 600 lines");
        assert_eq!(learner.audit().await.unwrap().breaks, [] as [String; 0]);
    });
}
