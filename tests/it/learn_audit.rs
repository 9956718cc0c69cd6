//! The audit: a flipped byte or a missing line is found wherever it is, and a home of an older program goes on.
//!
//! The homes under `tests/homes` were written by released programs. Invariant: they are only read; tests copy them.

use crate::learn_fake::{Fake, open};
use crate::learn_history::learn;
use apprentice::learn::learner::Learner;
use apprentice::learn::report::Action;
use apprentice::store::memory::MemoryStore;
use apprentice::store::native::NativeStore;
use apprentice::store::{Store, Table, Write};
use pollster::block_on;
use std::fs;
use std::path::Path;

const NONE: [String; 0] = [];

/// A life of some lines.
async fn life() -> MemoryStore {
    let store = MemoryStore::new();
    let (mut learner, mut student) = (open(store.clone()).await, Fake::new());
    let first = learn(&mut learner, &mut student, &[0, 1]).await;
    learn(&mut learner, &mut student, &[2]).await;
    learner.tag("now", None, false).await.unwrap();
    learner.rollback(&mut student, Some(&first)).await.unwrap();
    learn(&mut learner, &mut student, &[3]).await;
    store
}

#[test]
fn lines_say_what_changed_the_model() {
    block_on(async {
        let store = life().await;
        let learner = open(store).await;
        assert_eq!(learner.audit().await.unwrap().breaks, NONE);
        let head = learner.head().unwrap();
        let last = learner.log().last().unwrap();
        assert_eq!((last.action, last.to.as_ref()), (Action::Cycle, Some(&head.id)));
        assert_eq!(last.adapter.as_ref(), Some(&head.adapter));
        assert_eq!(last.examples.len(), 2, "what was pending after the rollback, and the new one");
        assert!(last.report.as_ref().is_some_and(|report| !report.suites.is_empty()));
        assert!(last.before.is_some() && last.cycle.is_some());
    });
}

#[test]
fn a_flipped_byte_anywhere_in_the_journal_is_found() {
    block_on(async {
        let origin = life().await;
        let records = origin.list(Table::Journal).await.unwrap();
        assert_eq!(records.len(), 5);
        let mut flips = 0;
        for (key, record) in &records {
            for at in (0..record.len()).step_by(7) {
                let store = origin.fork();
                let mut bytes = record.clone();
                bytes[at] ^= 1;
                store.apply(&[Write::put(Table::Journal, key, bytes)]).await.unwrap();
                let learner = open(store).await;
                let found = learner.audit().await.unwrap().breaks;
                assert!(!found.is_empty(), "byte {at} of line {key}");
                assert!(learner.warnings().iter().any(|text| text.starts_with("audit")));
                flips += 1;
            }
        }
        assert!(flips > 300, "{flips} flips");
        // The record of the chain's end too.
        let end = origin.get(Table::Refs, "audit").await.unwrap().unwrap();
        for at in 0..end.len() {
            let store = origin.fork();
            let mut bytes = end.clone();
            bytes[at] ^= 1;
            store.apply(&[Write::put(Table::Refs, "audit", bytes)]).await.unwrap();
            assert_ne!(open(store).await.audit().await.unwrap().breaks, NONE, "byte {at}");
        }
    });
}

#[test]
fn a_removed_line_is_found_and_so_is_one_that_was_put_in() {
    block_on(async {
        let origin = life().await;
        let records = origin.list(Table::Journal).await.unwrap();
        for (key, _) in &records {
            let store = origin.fork();
            store.apply(&[Write::delete(Table::Journal, key)]).await.unwrap();
            assert_ne!(open(store).await.audit().await.unwrap().breaks, NONE, "line {key}");
        }
        let store = origin.fork();
        let (_, last) = records.last().unwrap();
        store.apply(&[Write::put(Table::Journal, "000000000006", last.clone())]).await.unwrap();
        assert_ne!(open(store).await.audit().await.unwrap().breaks, NONE);
        let store = origin.fork();
        store.apply(&[Write::delete(Table::Refs, "audit")]).await.unwrap();
        assert_ne!(open(store).await.audit().await.unwrap().breaks, NONE);
    });
}

#[test]
fn after_damage_the_chain_goes_on_and_the_damage_stays_known() {
    block_on(async {
        let store = life().await;
        let (key, record) = store.list(Table::Journal).await.unwrap()[1].clone();
        let forged =
            String::from_utf8(record).unwrap().replacen("\"seconds\":", "\"seconds\":1", 1);
        store.apply(&[Write::put(Table::Journal, key, forged.into())]).await.unwrap();
        let mut learner = open(store.clone()).await;
        let before = learner.audit().await.unwrap().breaks;
        learn(&mut learner, &mut Fake::new(), &[7]).await;
        let found = open(store).await.audit().await.unwrap().breaks;
        assert_eq!(found, before, "one finding, at its place");
        assert!(found.len() == 1 && found[0].contains("line 3"), "{found:?}");
    });
}

/// A home of a released program, copied.
pub fn home(release: &str) -> tempfile::TempDir {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/homes").join(release);
    let to = tempfile::tempdir().unwrap();
    fs::create_dir(to.path().join("adapters")).unwrap();
    fs::copy(from.join("apprentice.db"), to.path().join("apprentice.db")).unwrap();
    for entry in fs::read_dir(from.join("adapters")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join("adapters").join(entry.file_name())).unwrap();
    }
    to
}

#[test]
fn a_home_of_0_1_opens_and_goes_on() {
    block_on(async {
        let home = home("0.1");
        let opened = || async {
            let store = NativeStore::open(home.path()).unwrap();
            Learner::open(store, Box::new(|| 1_800_000_000_000), 0).await.unwrap()
        };
        let mut learner = opened().await;
        assert_eq!(learner.warnings(), NONE);
        assert_eq!(learner.head().unwrap().id, "9349869de56d9823");
        assert_eq!((learner.versions().len(), learner.examples().len()), (2, 9));
        assert_eq!((learner.log().len(), learner.pending().len()), (3, 0));
        assert_eq!(learner.quarantined().len(), 5);
        for line in learner.log() {
            assert!(line.before.is_none(), "older lines stay as they were");
            assert!(!serde_json::to_string(line).unwrap().contains("Kuvala"), "{}", line.note);
        }
        let (end, names) = (learner.audit().await.unwrap(), learner.names().clone());
        assert_eq!((end.breaks, end.lines), (NONE.to_vec(), 3));
        learner.tag("old", None, false).await.unwrap();
        drop(learner);
        let learner = opened().await;
        assert_eq!(learner.warnings(), NONE);
        assert_eq!(learner.audit().await.unwrap().breaks, NONE);
        assert_ne!(learner.names(), &names);
        assert_eq!(learner.log()[3].number, 4);
        // Older lines are under the chain too.
        drop(learner);
        let store = NativeStore::open(home.path()).unwrap();
        let (key, record) = store.list(Table::Journal).await.unwrap()[0].clone();
        let forged = String::from_utf8(record).unwrap().replacen("says 2", "says 3", 1);
        store.apply(&[Write::put(Table::Journal, key, forged.into())]).await.unwrap();
        drop(store);
        assert_ne!(opened().await.audit().await.unwrap().breaks, NONE);
    });
}
