//! A run that was cut off goes on from its last kept step, on the table student: it ends, bit for bit, as one that was not.
//!
//! A crash is planted at every write of a cycle that is kept at every step; then another process learns from what is on the
//! disk. Invariant: what is compared are hashes of adapters, never what they say.

use crate::learn_fake::{Fake, clock, open, suites};
use crate::learn_history::fact;
use apprentice::learn::example::{NewExample, documents};
use apprentice::learn::learner::{LearnError, LearnResult, Learner};
use apprentice::learn::position::Pace;
use apprentice::learn::report::{CycleReport, Event, LearnOptions};
use apprentice::learn::student::StudentError;
use apprentice::store::memory::{Crash, MemoryStore};
use apprentice::store::{Store, Table, sha256_hex};
use pollster::block_on;
use std::collections::BTreeSet;

async fn open_at(store: &MemoryStore, pace: Pace) -> Learner<MemoryStore> {
    open(store.clone()).await.with_checkpoints(pace)
}

/// A store whose HEAD knows three facts, so that a run has something to replay, with two lessons and a text that wait.
async fn school() -> (MemoryStore, Fake) {
    let (store, mut student) = (MemoryStore::new(), Fake::new());
    let mut learner = open_at(&store, Pace::Never).await;
    learner.teach((0..3).map(fact).collect()).await.unwrap();
    learner.learn(&mut student, &LearnOptions::default(), &mut |_| {}).await.unwrap();
    assert!(learner.head().is_some());
    let text = documents("A text on the harbour of Klow, as its keeper wrote it.", "notes.md");
    learner.teach(vec![fact(3), fact(4)].into_iter().chain(text).collect()).await.unwrap();
    (store, student)
}

/// One cycle in a new process, and what it said.
async fn cycle(
    store: &MemoryStore,
    student: &mut Fake,
    pace: Pace,
    options: &LearnOptions,
) -> (LearnResult<CycleReport>, Vec<Event>) {
    let mut events = Vec::new();
    let mut learner = open_at(store, pace).await;
    let report = learner.learn(student, options, &mut |event| events.push(event)).await;
    (report, events)
}

fn resumed(events: &[Event]) -> Option<usize> {
    events.iter().find_map(|event| match event {
        Event::Resumed { step, .. } => Some(*step),
        _ => None,
    })
}

fn steps(events: &[Event]) -> Vec<usize> {
    let step = |event: &Event| match event {
        Event::Step { step, .. } => Some(*step),
        _ => None,
    };
    events.iter().filter_map(step).collect()
}

/// HEAD's adapter; and nothing lies around that nothing names.
async fn head(store: &MemoryStore) -> String {
    let learner = open(store.clone()).await;
    assert_eq!(learner.warnings(), [] as [String; 0]);
    let head = learner.head().expect("there is a HEAD").clone();
    let adapter = learner.adapter_of(&head).await.unwrap();
    assert_eq!(sha256_hex(&adapter.to_bytes()), head.adapter);
    head.adapter
}

async fn blobs(store: &MemoryStore) -> BTreeSet<String> {
    store.list_blobs().await.unwrap().into_iter().collect()
}

async fn is_kept(store: &MemoryStore) -> bool {
    store.get(Table::Refs, "checkpoint").await.unwrap().is_some()
}

#[test]
fn a_run_that_is_cut_off_at_any_write_ends_as_one_that_was_not() {
    block_on(async {
        let (origin, student) = school().await;
        let options = LearnOptions::default();
        let whole = origin.fork();
        let (report, events) = cycle(&whole, &mut student.reborn(), Pace::Never, &options).await;
        report.unwrap();
        let (wanted, last) = (head(&whole).await, *steps(&events).last().unwrap());
        assert_ne!(wanted, head(&origin).await, "it learned");
        assert!(last >= 8, "{last} steps are a run");
        let kept = origin.fork();
        let mut teacher = student.reborn();
        kept.plant(Crash { after: usize::MAX, torn: false });
        cycle(&kept, &mut teacher, Pace::EveryStep, &options).await.0.unwrap();
        let writes = kept.writes();
        assert_eq!(head(&kept).await, wanted, "checkpoints change nothing");
        assert_eq!(blobs(&kept).await, blobs(&whole).await, "and are gone with the cycle's end");
        let mut resumed_at = BTreeSet::new();
        for after in 0..writes {
            for torn in [false, true] {
                let store = origin.fork();
                store.plant(Crash { after, torn });
                let first = cycle(&store, &mut student.reborn(), Pace::EveryStep, &options).await;
                let store = store.reopen();
                // Stopped between HEAD's move and the sweep, it has learned.
                if first.0.is_err() {
                    let mut other = teacher.reborn();
                    let (report, events) =
                        cycle(&store, &mut other, Pace::EveryStep, &options).await;
                    match report {
                        Err(LearnError::NothingToLearn) => {}
                        report => drop(report.unwrap()),
                    }
                    if let Some(step) = resumed(&events) {
                        let taken: Vec<usize> = (step + 1..=last).collect();
                        assert_eq!(steps(&events), taken, "no step is taken twice");
                        resumed_at.insert(step);
                    }
                }
                assert_eq!(head(&store).await, wanted, "crash after {after}, torn: {torn}");
                assert!(!is_kept(&store).await);
            }
        }
        let all: BTreeSet<usize> = (1..=last).collect();
        assert_eq!(resumed_at, all, "every step was once the last that was kept");
    });
}

/// A run that its user stopped in the middle of step six.
async fn stopped() -> (MemoryStore, Fake) {
    let (store, student) = school().await;
    let mut student = student.reborn();
    student.cancel_at = Some(6);
    let (report, events) =
        cycle(&store, &mut student, Pace::Bounded, &LearnOptions::default()).await;
    assert!(matches!(report, Err(LearnError::Student(StudentError::Cancelled))));
    assert!(events.contains(&Event::Kept { step: 5 }));
    (store, student)
}

#[test]
fn a_stopped_run_is_told_and_goes_on() {
    block_on(async {
        let (whole, student) = school().await;
        let options = LearnOptions::default();
        cycle(&whole, &mut student.reborn(), Pace::Never, &options).await.0.unwrap();
        let (store, student) = stopped().await;
        let told = open(store.clone()).await.interrupted().expect("it is told");
        assert_eq!((told.step, told.lessons), (5, 3));
        let (report, events) = cycle(&store, &mut student.reborn(), Pace::Bounded, &options).await;
        report.unwrap();
        assert_eq!(resumed(&events), Some(5));
        assert_eq!(head(&store).await, head(&whole).await);
        assert_eq!(open(store).await.interrupted(), None);
    });
}

#[test]
fn another_run_begins_anew() {
    block_on(async {
        let (origin, student) = stopped().await;
        let fresh = |store: MemoryStore, options: LearnOptions| {
            let mut student = student.reborn();
            async move {
                let (report, events) = cycle(&store, &mut student, Pace::Bounded, &options).await;
                report.unwrap();
                assert_eq!((resumed(&events), steps(&events)[0]), (None, 1));
                assert!(!is_kept(&store).await);
            }
        };
        // Other options.
        let mut other = LearnOptions::default();
        other.recipe.lr *= 2.0;
        fresh(origin.fork(), other).await;
        // Another batch.
        let store = origin.fork();
        open(store.clone()).await.teach(vec![fact(5)]).await.unwrap();
        assert_eq!(open(store.clone()).await.interrupted(), None);
        fresh(store, LearnOptions::default()).await;
        // Another seed.
        let learner = Learner::open(origin.fork(), clock(), 8).await.unwrap();
        let (mut learner, mut events) = (learner.with_suites(suites()), Vec::new());
        let options = LearnOptions::default();
        learner.learn(&mut student.reborn(), &options, &mut |e| events.push(e)).await.unwrap();
        assert_eq!(resumed(&events), None);
        // Another HEAD: with the write that moves it, the checkpoint goes.
        let store = origin.fork();
        let mut learner = open(store.clone()).await;
        learner.rollback(&mut student.reborn(), None).await.unwrap();
        assert_eq!((learner.interrupted(), is_kept(&store).await), (None, false));
    });
}

#[test]
fn no_checkpoint_outlives_an_example_that_it_may_have_seen() {
    block_on(async {
        let (origin, student) = stopped().await;
        let trained = |before: &BTreeSet<String>, store: MemoryStore| {
            let before = before.clone();
            async move { blobs(&store).await.difference(&before).count() }
        };
        let (unstopped, _) = school().await;
        let before = blobs(&unstopped).await;
        assert_eq!(trained(&before, origin.clone()).await, 3, "adapter and both moments");
        // One that it taught, and one that it may have replayed.
        for id in [fact(3).id(), fact(0).id()] {
            let store = origin.fork();
            open(store.clone()).await.delete_example(&id).await.unwrap();
            assert!(!is_kept(&store).await);
            assert_eq!(trained(&before, store).await, 0);
        }
        let store = origin.fork();
        let mut learner = open(store.clone()).await;
        learner.forget(&mut student.reborn(), &fact(3).id(), &mut |_| {}).await.unwrap();
        assert!(!is_kept(&store).await);
        assert_eq!(trained(&before, store).await, 0);
    });
}

#[test]
fn a_damaged_checkpoint_costs_its_steps_and_is_told() {
    block_on(async {
        let (whole, student) = school().await;
        let before = blobs(&whole).await;
        let options = LearnOptions::default();
        cycle(&whole, &mut student.reborn(), Pace::Never, &options).await.0.unwrap();
        let (origin, student) = stopped().await;
        for blob in blobs(&origin).await.difference(&before) {
            let store = origin.fork();
            store.flip(blob, 1_000);
            let (report, events) =
                cycle(&store, &mut student.reborn(), Pace::Bounded, &options).await;
            report.unwrap();
            let told =
                |e: &Event| matches!(e, Event::Warning { message } if message.contains("damaged"));
            assert!(events.iter().any(told));
            assert_eq!((resumed(&events), steps(&events)[0]), (None, 1));
            assert_eq!(head(&store).await, head(&whole).await);
        }
    });
}

#[test]
fn a_checkpoint_that_is_heads_own_adapter_takes_nothing_with_it() {
    block_on(async {
        let (store, student) = school().await;
        let mut learner = open_at(&store, Pace::EveryStep).await;
        for id in [fact(3).id(), fact(4).id()] {
            learner.delete_example(&id).await.unwrap();
        }
        let question = "What is the capital of Elbonia?";
        learner.teach(vec![NewExample::correction(question, "unlearnable", None)]).await.unwrap();
        // Nothing is replayed and nothing learned: each step leaves HEAD's adapter as it is.
        let mut options = LearnOptions { lessons_max: 64, ..LearnOptions::default() };
        options.recipe.replay_share = 0.0;
        let mut pending = learner.pending().into_iter();
        let text = pending.find(|e| e.content.question_answer().is_none());
        let text = text.expect("the text waits").id.clone();
        learner.delete_example(&text).await.unwrap();
        let before = head(&store).await;
        learner.learn(&mut student.reborn(), &options, &mut |_| {}).await.unwrap();
        assert_eq!(head(&store).await, before);
    });
}
