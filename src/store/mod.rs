//! Where examples, versions and adapters live: small records by table and key, and blobs by their content's hash.
//!
//! A home is SQLite and files natively (`native`; `look` reads one without holding it), IndexedDB and OPFS in a page
//! (`web`), or memory for tests (`memory`). This layer does not know what the bytes mean. Invariant: a list of writes is applied as a whole or
//! not at all, and a blob that is returned hashes to its name, whether it is kept as it is or in fewer bytes (`compress`).

pub mod compress;
#[cfg(not(target_arch = "wasm32"))]
pub mod look;
pub mod memory;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;
pub mod overlay;
#[cfg(target_arch = "wasm32")]
pub mod web;

use sha2::{Digest, Sha256};

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A blob's bytes do not hash to its name: the medium or another program changed them.
    #[error("the stored file {hash} is damaged")]
    Damaged {
        /// The blob's name, sha256 in hex.
        hash: String,
    },
    /// Another process has the home open.
    #[error(
        "process {process} has the home {home} open; wait for it to end, or use another --home"
    )]
    Held {
        /// The home.
        home: String,
        /// The process's id.
        process: String,
    },
    /// A home that is only looked at takes in nothing.
    #[error("the home is only looked at here; nothing can be kept in it")]
    LookedAt,
    /// The file system refused.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried, with its path.
        what: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The database refused.
    #[cfg(not(target_arch = "wasm32"))]
    #[error("the database refused: {0}")]
    Sql(#[from] rusqlite::Error),
    /// The page's storage refused (out of quota, blocked, closed).
    #[error("the page's storage refused: {0}")]
    Host(String),
    /// A crash that a test planted.
    #[error("stopped by a planted crash")]
    Crashed,
}

/// A store's result.
pub type StoreResult<T> = Result<T, StoreError>;

/// The tables; a record belongs to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Training examples, by id.
    Examples,
    /// Versions, by id.
    Versions,
    /// What happened, by a growing number.
    Journal,
    /// Names that move: HEAD, and the like.
    Refs,
    /// Examples that look harmful and wait for a person, by id.
    Quarantine,
    /// What can be computed again: drills and scores.
    Cache,
}

impl Table {
    /// Every table.
    pub const ALL: [Table; 6] = [
        Table::Examples,
        Table::Versions,
        Table::Journal,
        Table::Refs,
        Table::Quarantine,
        Table::Cache,
    ];

    /// The name under which homes keep the table.
    pub fn name(self) -> &'static str {
        match self {
            Table::Examples => "examples",
            Table::Versions => "versions",
            Table::Journal => "journal",
            Table::Refs => "refs",
            Table::Quarantine => "quarantine",
            Table::Cache => "cache",
        }
    }
}

/// One write of an atomic list; no value deletes the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The table.
    pub table: Table,
    /// The record's key.
    pub key: String,
    /// The new value, or `None` to delete.
    pub value: Option<Vec<u8>>,
}

impl Write {
    /// Puts a record.
    pub fn put(table: Table, key: impl Into<String>, value: Vec<u8>) -> Self {
        Self { table, key: key.into(), value: Some(value) }
    }

    /// Deletes a record; one that is not there is no error.
    pub fn delete(table: Table, key: impl Into<String>) -> Self {
        Self { table, key: key.into(), value: None }
    }
}

/// A home of records and blobs. Calls take `&self`: one owner, interleaved only at awaits.
#[async_trait::async_trait(?Send)]
pub trait Store {
    /// A record's value.
    async fn get(&self, table: Table, key: &str) -> StoreResult<Option<Vec<u8>>>;

    /// All records of a table in the order of their keys (bytewise).
    async fn list(&self, table: Table) -> StoreResult<Vec<(String, Vec<u8>)>>;

    /// Applies all writes or none; durable on return.
    async fn apply(&self, writes: &[Write]) -> StoreResult<()>;

    /// Keeps bytes under their sha256 (hex), which it returns; durable on return.
    async fn put_blob(&self, bytes: &[u8]) -> StoreResult<String>;

    /// A blob's bytes, checked against the hash; `None` if there is none of that name.
    async fn get_blob(&self, hash: &str) -> StoreResult<Option<Vec<u8>>>;

    /// Keeps a blob in fewer bytes from now on, where that is possible; it has the same name and is read as before, some slower.
    /// Durable on return; whatever happens, the blob is there, as it was or in fewer bytes. One that is not there is no error. A
    /// store that keeps no blobs of its own does nothing.
    async fn compress_blob(&self, _hash: &str) -> StoreResult<()> {
        Ok(())
    }

    /// Deletes a blob; one that is not there is no error.
    async fn delete_blob(&self, hash: &str) -> StoreResult<()>;

    /// The names of all blobs, sorted.
    async fn list_blobs(&self) -> StoreResult<Vec<String>>;
}

/// sha256 of bytes, in hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The blob that `bytes` keep, if it hashes to `hash`.
fn checked(hash: &str, bytes: Vec<u8>) -> StoreResult<Vec<u8>> {
    let blob = compress::expand(&bytes).unwrap_or(bytes);
    if sha256_hex(&blob) == hash {
        Ok(blob)
    } else {
        Err(StoreError::Damaged { hash: hash.to_string() })
    }
}

/// What a blob is to be kept as from now on; `None` if it stays as it is, as one that is damaged does.
fn smaller(hash: &str, kept: &[u8]) -> Option<Vec<u8>> {
    (sha256_hex(kept) == hash).then(|| compress::compress(kept)).flatten()
}
