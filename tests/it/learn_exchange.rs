//! Adapters in and out of the history: an imported one is a version that survives a restart, and is not HEAD until
//! somebody rolls back to it.

use crate::learn_fake::{Fake, open};
use apprentice::learn::learner::LearnError;
use apprentice::model::adapter::Adapter;
use apprentice::model::method::Method;
use apprentice::store::memory::MemoryStore;
use pollster::block_on;

#[test]
fn an_imported_adapter_is_a_version_and_becomes_head_by_a_rollback_to_it() {
    block_on(async {
        let store = MemoryStore::new();
        let mut student = Fake::new();
        let adapter =
            Adapter { method: Method::Lora, rank: 8, alpha: 16.0, weights: vec![0.25; 64] };
        let mut learner = open(store.clone()).await;
        let id = learner.import(&mut student, adapter.clone(), "from a test".into()).await.unwrap();
        assert!(learner.head().is_none(), "HEAD stays");

        let mut learner = open(store.reopen()).await;
        assert!(learner.warnings().is_empty(), "{:?}", learner.warnings());
        assert_eq!(learner.adapter_named(&id[..6]).await.unwrap().as_ref(), Some(&adapter));
        assert_eq!(learner.adapter_named("base").await.unwrap(), None);
        let missing = learner.adapter_named("nothing").await;
        assert!(matches!(missing, Err(LearnError::NoVersion(_))), "{missing:?}");
        assert_eq!(learner.rollback(&mut student, Some(&id)).await.unwrap().as_ref(), Some(&id));
        assert_eq!(learner.head_adapter().await.unwrap(), Some(adapter));
    });
}
