//! The native home: records in one SQLite file, blobs as files named by their hash.
//!
//! It knows nothing of what the bytes mean. Invariant: a blob's name exists only after its bytes are on the medium
//! (written aside, synced, renamed, folder synced), so a crash leaves a whole file or none; SQLite in WAL mode with
//! full sync gives the same for record lists.

use super::{Store, StoreError, StoreResult, Table, Write, checked, sha256_hex};
use rusqlite::{Connection, OptionalExtension, params};
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// The home folder: `apprentice.db` and `adapters/`.
#[derive(Debug)]
pub struct NativeStore {
    connection: Connection,
    blobs: PathBuf,
}

impl NativeStore {
    /// Opens (or makes) the home in `folder`; files half written by a crash are removed.
    pub fn open(folder: &Path) -> StoreResult<Self> {
        let blobs = folder.join("adapters");
        fs::create_dir_all(&blobs).map_err(|e| io("create", &blobs, e))?;
        for entry in fs::read_dir(&blobs).map_err(|e| io("read", &blobs, e))? {
            let path = entry.map_err(|e| io("read", &blobs, e))?.path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                fs::remove_file(&path).map_err(|e| io("remove", &path, e))?;
            }
        }
        let connection = Connection::open(folder.join("apprentice.db"))?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS records (
                 tab TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
                 PRIMARY KEY (tab, key)
             ) WITHOUT ROWID;",
        )?;
        Ok(Self { connection, blobs })
    }

    fn blob_path(&self, hash: &str) -> PathBuf {
        // A hash is 64 hex digits; anything else must not become a path out of the folder.
        let safe: String = hash.chars().filter(char::is_ascii_alphanumeric).collect();
        self.blobs.join(safe)
    }
}

#[async_trait::async_trait(?Send)]
impl Store for NativeStore {
    async fn get(&self, table: Table, key: &str) -> StoreResult<Option<Vec<u8>>> {
        let mut query = self
            .connection
            .prepare_cached("SELECT value FROM records WHERE tab = ?1 AND key = ?2")?;
        Ok(query.query_row(params![table.name(), key], |row| row.get(0)).optional()?)
    }

    async fn list(&self, table: Table) -> StoreResult<Vec<(String, Vec<u8>)>> {
        let mut query = self
            .connection
            .prepare_cached("SELECT key, value FROM records WHERE tab = ?1 ORDER BY key")?;
        let rows = query.query_map([table.name()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    async fn apply(&self, writes: &[Write]) -> StoreResult<()> {
        let transaction = self.connection.unchecked_transaction()?;
        for Write { table, key, value } in writes {
            match value {
                Some(value) => transaction.execute(
                    "INSERT OR REPLACE INTO records (tab, key, value) VALUES (?1, ?2, ?3)",
                    params![table.name(), key, value],
                )?,
                None => transaction.execute(
                    "DELETE FROM records WHERE tab = ?1 AND key = ?2",
                    params![table.name(), key],
                )?,
            };
        }
        Ok(transaction.commit()?)
    }

    async fn put_blob(&self, bytes: &[u8]) -> StoreResult<String> {
        let hash = sha256_hex(bytes);
        let path = self.blob_path(&hash);
        // A file of this name that is damaged is replaced; a whole one needs no second write.
        if matches!(self.get_blob(&hash).await, Ok(Some(_))) {
            return Ok(hash);
        }
        let aside = path.with_extension("tmp");
        let mut file = File::create(&aside).map_err(|e| io("create", &aside, e))?;
        file.write_all(bytes).map_err(|e| io("write", &aside, e))?;
        file.sync_all().map_err(|e| io("sync", &aside, e))?;
        fs::rename(&aside, &path).map_err(|e| io("rename", &aside, e))?;
        sync_folder(&self.blobs)?;
        Ok(hash)
    }

    async fn get_blob(&self, hash: &str) -> StoreResult<Option<Vec<u8>>> {
        let path = self.blob_path(hash);
        match fs::read(&path) {
            Ok(bytes) => checked(hash, bytes).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io("read", &path, error)),
        }
    }

    async fn delete_blob(&self, hash: &str) -> StoreResult<()> {
        let path = self.blob_path(hash);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(io("remove", &path, error)),
            _ => sync_folder(&self.blobs),
        }
    }

    async fn list_blobs(&self) -> StoreResult<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.blobs).map_err(|e| io("read", &self.blobs, e))? {
            let name = entry.map_err(|e| io("read", &self.blobs, e))?.file_name();
            names.extend(name.into_string().ok().filter(|name| !name.ends_with(".tmp")));
        }
        names.sort();
        Ok(names)
    }
}

/// Makes a rename or a removal in the folder durable. Windows cannot open folders and orders these itself.
fn sync_folder(folder: &Path) -> StoreResult<()> {
    if cfg!(windows) {
        return Ok(());
    }
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| io("sync", folder, e))
}

fn io(what: &str, path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io { what: format!("{what} {}", path.display()), source }
}
