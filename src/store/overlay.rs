//! A store over another one: records are written beside it, in memory, so that work can be tried before it counts.
//!
//! Blobs go through, since they are named by what they hold and disturb nobody; none is deleted. It knows nothing of what
//! the bytes mean. Invariant: no record of the store below changes.

use super::{Store, StoreResult, Table, Write};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Records by table and key; none is a deleted one.
pub type Records = BTreeMap<(Table, String), Option<Vec<u8>>>;

/// The store; see the module.
pub struct Overlay<'a, S: Store> {
    below: &'a S,
    records: RefCell<Records>,
}

impl<'a, S: Store> Overlay<'a, S> {
    /// Over a store, with what was written beside it before.
    pub fn new(below: &'a S, records: Records) -> Self {
        Self { below, records: RefCell::new(records) }
    }

    /// What is written beside the store.
    pub fn records(&self) -> Records {
        self.records.borrow().clone()
    }
}

#[async_trait::async_trait(?Send)]
impl<S: Store> Store for Overlay<'_, S> {
    async fn get(&self, table: Table, key: &str) -> StoreResult<Option<Vec<u8>>> {
        let beside = self.records.borrow().get(&(table, key.to_string())).cloned();
        match beside {
            Some(value) => Ok(value),
            None => self.below.get(table, key).await,
        }
    }

    async fn list(&self, table: Table) -> StoreResult<Vec<(String, Vec<u8>)>> {
        let mut all: BTreeMap<String, Vec<u8>> =
            self.below.list(table).await?.into_iter().collect();
        let records = self.records.borrow();
        for ((_, key), value) in records.iter().filter(|((other, _), _)| *other == table) {
            match value {
                Some(value) => drop(all.insert(key.clone(), value.clone())),
                None => drop(all.remove(key)),
            }
        }
        Ok(all.into_iter().collect())
    }

    async fn apply(&self, writes: &[Write]) -> StoreResult<()> {
        let mut records = self.records.borrow_mut();
        for write in writes {
            records.insert((write.table, write.key.clone()), write.value.clone());
        }
        Ok(())
    }

    async fn put_blob(&self, bytes: &[u8]) -> StoreResult<String> {
        self.below.put_blob(bytes).await
    }

    async fn get_blob(&self, hash: &str) -> StoreResult<Option<Vec<u8>>> {
        self.below.get_blob(hash).await
    }

    async fn delete_blob(&self, _hash: &str) -> StoreResult<()> {
        Ok(())
    }

    async fn list_blobs(&self) -> StoreResult<Vec<String>> {
        // Nobody below is to be swept from here.
        Ok(Vec::new())
    }
}
