//! A store in memory, for tests: it can stop after any write, and its blobs can be flipped.
//!
//! A clone shares the "disk", so that dropping one and opening another is a restart. It knows no files.
//! Invariant: once the planted crash has struck, nothing more becomes durable until `reopen`.

use super::{Store, StoreError, StoreResult, Table, Write, checked, sha256_hex, smaller};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A crash to plant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash {
    /// Writes (record lists, blob puts and deletes) that still become durable.
    pub after: usize,
    /// Whether a blob put that is struck leaves half of its bytes under its name, as a lying disk would.
    pub torn: bool,
}

/// The store; see the module.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    disk: Rc<RefCell<Disk>>,
}

#[derive(Debug, Default)]
struct Disk {
    records: BTreeMap<(Table, String), Vec<u8>>,
    blobs: BTreeMap<String, Vec<u8>>,
    writes: usize,
    crash: Option<Crash>,
    crashed: bool,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Plants a crash, counted from now.
    pub fn plant(&self, crash: Crash) {
        let mut disk = self.disk.borrow_mut();
        disk.crash = Some(crash);
        disk.writes = 0;
    }

    /// The same disk after a restart: no crash is planted any more.
    pub fn reopen(&self) -> Self {
        let mut disk = self.disk.borrow_mut();
        disk.crash = None;
        disk.crashed = false;
        drop(disk);
        self.clone()
    }

    /// A copy of the disk, which lives on its own.
    pub fn fork(&self) -> Self {
        let disk = self.disk.borrow();
        let copy =
            Disk { records: disk.records.clone(), blobs: disk.blobs.clone(), ..Disk::default() };
        Self { disk: Rc::new(RefCell::new(copy)) }
    }

    /// Writes since the store was made or the crash was planted.
    pub fn writes(&self) -> usize {
        self.disk.borrow().writes
    }

    /// Bytes that blobs take.
    pub fn blob_bytes(&self) -> usize {
        self.disk.borrow().blobs.values().map(Vec::len).sum()
    }

    /// Bytes that one blob takes; 0 where there is none.
    pub fn bytes_of(&self, hash: &str) -> usize {
        self.disk.borrow().blobs.get(hash).map_or(0, Vec::len)
    }

    /// Flips one bit of a blob, as a failing medium would. Panics if there is no such byte.
    pub fn flip(&self, hash: &str, byte: usize) {
        let mut disk = self.disk.borrow_mut();
        disk.blobs.get_mut(hash).expect("the blob exists")[byte] ^= 1;
    }
}

impl Disk {
    /// Counts a write; an error means that it must not become durable.
    fn admit(&mut self) -> StoreResult<()> {
        self.crashed |= self.crash.is_some_and(|crash| self.writes >= crash.after);
        if self.crashed {
            return Err(StoreError::Crashed);
        }
        self.writes += 1;
        Ok(())
    }
}

#[async_trait::async_trait(?Send)]
impl Store for MemoryStore {
    async fn get(&self, table: Table, key: &str) -> StoreResult<Option<Vec<u8>>> {
        Ok(self.disk.borrow().records.get(&(table, key.to_string())).cloned())
    }

    async fn list(&self, table: Table) -> StoreResult<Vec<(String, Vec<u8>)>> {
        let disk = self.disk.borrow();
        let rows = disk.records.iter().filter(|((t, _), _)| *t == table);
        Ok(rows.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    async fn apply(&self, writes: &[Write]) -> StoreResult<()> {
        let mut disk = self.disk.borrow_mut();
        disk.admit()?;
        for write in writes {
            let key = (write.table, write.key.clone());
            match &write.value {
                Some(value) => disk.records.insert(key, value.clone()),
                None => disk.records.remove(&key),
            };
        }
        Ok(())
    }

    async fn put_blob(&self, bytes: &[u8]) -> StoreResult<String> {
        let hash = sha256_hex(bytes);
        let mut disk = self.disk.borrow_mut();
        let already_crashed = disk.crashed;
        // As a home of files does: a whole one needs no second write, so a torn one cannot spoil it.
        let is_whole =
            disk.blobs.get(&hash).is_some_and(|kept| checked(&hash, kept.clone()).is_ok());
        if is_whole && !already_crashed {
            return Ok(hash);
        }
        if let Err(error) = disk.admit() {
            if !already_crashed && disk.crash.is_some_and(|crash| crash.torn) {
                disk.blobs.insert(hash, bytes[..bytes.len() / 2].to_vec());
            }
            return Err(error);
        }
        disk.blobs.insert(hash.clone(), bytes.to_vec());
        Ok(hash)
    }

    async fn get_blob(&self, hash: &str) -> StoreResult<Option<Vec<u8>>> {
        let bytes = self.disk.borrow().blobs.get(hash).cloned();
        bytes.map(|bytes| checked(hash, bytes)).transpose()
    }

    async fn compress_blob(&self, hash: &str) -> StoreResult<()> {
        let mut disk = self.disk.borrow_mut();
        let small = disk.blobs.get(hash).and_then(|kept| smaller(hash, kept));
        if let Some(small) = small {
            // Homes write it aside and put it in place at once, so not even a lying disk leaves a half.
            disk.admit()?;
            disk.blobs.insert(hash.into(), small);
        }
        Ok(())
    }

    async fn delete_blob(&self, hash: &str) -> StoreResult<()> {
        let mut disk = self.disk.borrow_mut();
        disk.admit()?;
        disk.blobs.remove(hash);
        Ok(())
    }

    async fn list_blobs(&self) -> StoreResult<Vec<String>> {
        Ok(self.disk.borrow().blobs.keys().cloned().collect())
    }
}
