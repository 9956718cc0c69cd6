//! A crash at every write of a whole life (teach, learn, roll back, delete), and flipped bytes: HEAD stays whole.

use crate::learn_fake::{Fake, open};
use apprentice::learn::example::NewExample;
use apprentice::learn::learner::{LearnError, LearnResult};
use apprentice::learn::report::{Action, LearnOptions};
use apprentice::model::adapter::Adapter;
use apprentice::store::memory::{Crash, MemoryStore};
use apprentice::store::{Store, Table, Write};
use pollster::block_on;

fn fact(country: &str, town: &str) -> NewExample {
    let question = format!("What is the capital of {country}?");
    NewExample::correction(&question, &format!("The capital of {country} is {town}."), None)
}

/// A store whose HEAD has an ancestor.
async fn two_versions() -> MemoryStore {
    let store = MemoryStore::new();
    let (mut learner, mut student) = (open(store.clone()).await, Fake::new());
    for (country, town) in [("Freedonia", "Fredville"), ("Borduria", "Szohod")] {
        learner.teach(vec![fact(country, town)]).await.unwrap();
        learner.learn(&mut student, &LearnOptions::default(), &mut |_| {}).await.unwrap();
    }
    assert_eq!(learner.versions().len(), 2);
    store
}

/// A held cycle, a promoted one, a rollback and a deletion; stops at the first error.
async fn live(store: MemoryStore) -> LearnResult<()> {
    let (mut learner, mut student) = (open(store).await, Fake::new());
    let options = LearnOptions::default();
    let held = fact("Elbonia", "unlearnable");
    learner.teach(vec![held.clone()]).await?;
    learner.learn(&mut student, &options, &mut |_| {}).await?;
    learner.delete_example(&held.id()).await?;
    learner.teach(vec![fact("Syldavia", "Klow")]).await?;
    learner.learn(&mut student, &options, &mut |_| {}).await?;
    learner.rollback(&mut student, None).await?;
    learner.delete_example(&fact("Borduria", "Szohod").id()).await?;
    Ok(())
}

#[test]
fn head_is_whole_after_a_crash_at_any_write() {
    block_on(async {
        let origin = two_versions().await;
        let whole = origin.fork();
        whole.plant(Crash { after: usize::MAX, torn: false });
        live(whole.clone()).await.unwrap();
        let writes = whole.writes();
        assert!(writes > 12, "{writes} writes");
        let mut heads = std::collections::BTreeSet::new();
        for after in 0..writes {
            for torn in [false, true] {
                let store = origin.fork();
                store.plant(Crash { after, torn });
                assert!(live(store.clone()).await.is_err(), "the crash at {after} was noticed");
                let store = store.reopen();
                let learner = open(store.clone()).await;
                assert_eq!(learner.warnings(), [] as [String; 0], "crash after {after}");
                let head = learner.head().expect("HEAD is there").clone();
                let adapter = learner.head_adapter().await.unwrap().expect("its adapter too");
                assert_eq!(apprentice::store::sha256_hex(&adapter.to_bytes()), head.adapter);
                // Every version of the history can be served, and no adapter lies around without one.
                for version in learner.versions() {
                    learner.adapter_of(version).await.unwrap();
                }
                heads.insert(head.id);
                let new = fact("Syldavia", "Klow").id();
                let is_learned = learner.examples().iter().any(|e| e.id == new)
                    && learner.pending().iter().all(|e| e.id != new);
                // And life goes on.
                drop(learner);
                let again = live(store).await;
                // What a crash behind the promotion left learned has nothing to be learned again.
                let is_done = is_learned && matches!(again, Err(LearnError::NothingToLearn));
                let is_late = after + 1 >= writes - 3;
                assert!(again.is_ok() || is_done || is_late, "after {after}: {again:?}");
            }
        }
        assert!(heads.len() >= 3, "crashes hit before and after HEAD moved: {heads:?}");
    });
}

#[test]
fn flipped_bytes_are_noticed_and_the_ancestor_answers() {
    block_on(async {
        let origin = two_versions().await;
        let learner = open(origin.clone()).await;
        let (head, parent) = (learner.head().unwrap().clone(), learner.versions()[0].clone());
        let length = origin.get_blob(&head.adapter).await.unwrap().unwrap().len();
        for byte in [0, 7, 40, length / 2, length - 1] {
            let store = origin.fork();
            store.flip(&head.adapter, byte);
            let learner = open(store.clone()).await;
            assert_eq!(learner.head(), Some(&parent));
            assert!(learner.warnings()[0].contains("damaged"), "{:?}", learner.warnings());
            assert_eq!(learner.log().last().unwrap().action, Action::Fallback);
            let adapter = learner.head_adapter().await.unwrap().unwrap();
            assert!(Adapter::from_bytes(&adapter.to_bytes()).is_ok());
            assert!(open(store).await.warnings().is_empty(), "the fallback is written down");
        }
        // Both damaged: the base model answers.
        let store = origin.fork();
        store.flip(&head.adapter, 9);
        store.flip(&parent.adapter, 9);
        let learner = open(store).await;
        assert!(learner.head().is_none() && !learner.warnings().is_empty());
    });
}

#[test]
fn damaged_records_are_noticed() {
    block_on(async {
        let origin = two_versions().await;
        let learner = open(origin.clone()).await;
        let (head, parent) = (learner.head().unwrap().clone(), learner.versions()[0].clone());
        // A version's record with one digit changed is valid JSON, and another version.
        let store = origin.fork();
        let record = store.get(Table::Versions, &head.id).await.unwrap().unwrap();
        let forged = String::from_utf8(record).unwrap().replacen("\"scale\":1", "\"scale\":2", 1);
        store.apply(&[Write::put(Table::Versions, &head.id, forged.into())]).await.unwrap();
        let learner = open(store).await;
        assert_eq!(learner.head(), Some(&parent));
        assert!(learner.warnings().len() >= 2, "{:?}", learner.warnings());
        // HEAD itself, and an example.
        let store = origin.fork();
        let example = learner.examples()[0].id.clone();
        store
            .apply(&[
                Write::put(Table::Refs, "HEAD", b"{".to_vec()),
                Write::put(Table::Examples, &example, b"}".to_vec()),
            ])
            .await
            .unwrap();
        let learner = open(store).await;
        assert_eq!(learner.head(), Some(&head), "the newest whole version");
        assert_eq!((learner.examples().len(), learner.warnings().len()), (1, 2));
    });
}
