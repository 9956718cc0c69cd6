//! Adapters in and out of the history: an imported one is a version that survives a restart, and that nobody makes HEAD
//! past the gate.

use crate::learn_fake::{Fake, open};
use apprentice::learn::exchange::Foreign;
use apprentice::learn::learner::LearnError;
use apprentice::model::adapter::Adapter;
use apprentice::model::method::Method;
use apprentice::store::memory::MemoryStore;
use pollster::block_on;

#[test]
fn an_imported_adapter_is_a_version_that_no_rollback_makes_head() {
    block_on(async {
        let store = MemoryStore::new();
        let mut student = Fake::new();
        let adapter =
            Adapter { method: Method::Lora, rank: 8, alpha: 16.0, weights: vec![0.25; 64] };
        let mut learner = open(store.clone()).await;
        let foreign = Foreign::bare(adapter.clone(), "a test".into());
        let id = learner.import(&mut student, foreign).await.unwrap();
        assert!(learner.head().is_none(), "HEAD stays");

        let mut learner = open(store.reopen()).await;
        assert!(learner.warnings().is_empty(), "{:?}", learner.warnings());
        assert_eq!(learner.adapter_named(&id[..6]).await.unwrap().as_ref(), Some(&adapter));
        assert_eq!(learner.adapter_named("base").await.unwrap(), None);
        let missing = learner.adapter_named("nothing").await;
        assert!(matches!(missing, Err(LearnError::NoVersion(_))), "{missing:?}");
        let moved = learner.rollback(&mut student, Some(&id)).await;
        assert!(matches!(moved, Err(LearnError::Foreign { .. })), "{moved:?}");
        assert!(learner.head().is_none());
    });
}
