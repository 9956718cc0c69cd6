//! A native home looked at without being held: its records as they were at one moment, its blobs where they lie.
//!
//! It never takes the home's lock, so that whoever looks stops nobody, and whoever holds the home stops no look: SQLite
//! shows a reader the last whole commit while another process writes. It knows nothing of what the bytes mean. Invariant: no
//! record and no blob of the home changes; what is written to a copy stays in the copy.

use super::native::{blobs, database, read_blob};
use super::{Store, StoreError, StoreResult, Table, Write};
use rusqlite::{Connection, OpenFlags};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a look waits for a writer's commit.
const WAIT: Duration = Duration::from_secs(5);

/// A home that is watched.
pub struct Watch {
    connection: Connection,
    blobs: PathBuf,
    /// SQLite's number of what other connections had committed when the last copy was made.
    copied: Option<i64>,
}

impl Watch {
    /// Looks at the home in `folder`, which must have been opened by `NativeStore` once.
    pub fn open(folder: &Path) -> StoreResult<Watch> {
        // Not read-only: a reader of a log takes part in its index.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(database(folder), flags)?;
        connection.busy_timeout(WAIT)?;
        connection.pragma_update(None, "query_only", "ON")?;
        Ok(Watch { connection, blobs: blobs(folder), copied: None })
    }

    /// Whether anything was written since the last copy.
    pub fn has_changed(&self) -> StoreResult<bool> {
        Ok(self.copied != Some(self.version()?))
    }

    fn version(&self) -> StoreResult<i64> {
        Ok(self.connection.query_row("PRAGMA data_version", [], |row| row.get(0))?)
    }

    /// The home as it is now.
    pub fn copy(&mut self) -> StoreResult<Copy> {
        // Asked before: what is committed in between is seen as a change once more, never missed.
        let version = self.version()?;
        let mut records = BTreeMap::new();
        let mut query = self.connection.prepare_cached("SELECT tab, key, value FROM records")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            // A table of a later program says nothing here.
            if let Some(table) = Table::ALL.into_iter().find(|table| table.name() == name) {
                records.insert((table, row.get(1)?), row.get(2)?);
            }
        }
        drop(rows);
        drop(query);
        self.copied = Some(version);
        Ok(Copy { records: RefCell::new(records), blobs: self.blobs.clone() })
    }
}

/// A home as it was; see the module.
pub struct Copy {
    records: RefCell<BTreeMap<(Table, String), Vec<u8>>>,
    blobs: PathBuf,
}

#[async_trait::async_trait(?Send)]
impl Store for Copy {
    async fn get(&self, table: Table, key: &str) -> StoreResult<Option<Vec<u8>>> {
        Ok(self.records.borrow().get(&(table, key.to_string())).cloned())
    }

    async fn list(&self, table: Table) -> StoreResult<Vec<(String, Vec<u8>)>> {
        let records = self.records.borrow();
        let of_table = records.iter().filter(|((other, _), _)| *other == table);
        Ok(of_table.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    async fn apply(&self, writes: &[Write]) -> StoreResult<()> {
        let mut records = self.records.borrow_mut();
        for Write { table, key, value } in writes {
            match value {
                Some(value) => drop(records.insert((*table, key.clone()), value.clone())),
                None => drop(records.remove(&(*table, key.clone()))),
            }
        }
        Ok(())
    }

    async fn put_blob(&self, _bytes: &[u8]) -> StoreResult<String> {
        Err(StoreError::LookedAt)
    }

    async fn get_blob(&self, hash: &str) -> StoreResult<Option<Vec<u8>>> {
        read_blob(&self.blobs, hash)
    }

    async fn delete_blob(&self, _hash: &str) -> StoreResult<()> {
        Ok(())
    }

    async fn list_blobs(&self) -> StoreResult<Vec<String>> {
        // Nobody below is to be swept from here.
        Ok(Vec::new())
    }
}
