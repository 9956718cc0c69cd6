//! The native home: records in one SQLite file, blobs as files named by their hash.
//!
//! It knows nothing of what the bytes mean. Invariant: a blob's name exists only after its bytes are on the medium
//! (written aside, synced, renamed, folder synced), so a crash leaves a whole file or none; SQLite in WAL mode with
//! full sync gives the same for record lists. One process holds a home at a time (others may look at it, see `look`). What is deleted is overwritten, in the
//! database and in its log.

use super::{Store, StoreError, StoreResult, Table, Write, checked, sha256_hex, smaller};
use rusqlite::{Connection, OptionalExtension, params};
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a home that is held is asked for again, and the time between: another process may only look in.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// The layout of the database: 1 since deleted records are overwritten.
const LAYOUT: i64 = 1;

/// The home folder: `apprentice.db`, `adapters/`, and `lock` with the id of the process that holds it.
#[derive(Debug)]
pub struct NativeStore {
    connection: Connection,
    blobs: PathBuf,
    /// Held until the store is dropped, or the process ends however it does.
    _lock: File,
}

impl NativeStore {
    /// Opens (or makes) the home in `folder`; files half written by a crash are removed.
    pub fn open(folder: &Path) -> StoreResult<Self> {
        let blobs = blobs(folder);
        fs::create_dir_all(&blobs).map_err(|e| io("create", &blobs, e))?;
        let lock = lock(folder)?;
        for entry in fs::read_dir(&blobs).map_err(|e| io("read", &blobs, e))? {
            let path = entry.map_err(|e| io("read", &blobs, e))?.path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                fs::remove_file(&path).map_err(|e| io("remove", &path, e))?;
            }
        }
        let connection = Connection::open(database(folder))?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS records (
                 tab TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
                 PRIMARY KEY (tab, key)
             ) WITHOUT ROWID;",
        )?;
        let layout: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if layout < LAYOUT {
            // What older programs deleted is still in free pages.
            connection.execute_batch("VACUUM")?;
            connection.pragma_update(None, "user_version", LAYOUT)?;
            empty_log(&connection)?;
        }
        Ok(Self { connection, blobs, _lock: lock })
    }

    /// Makes a blob's file these bytes: whatever happens, it holds these or what it held before.
    fn write(&self, path: &Path, bytes: &[u8]) -> StoreResult<()> {
        let aside = path.with_extension("tmp");
        let mut file = File::create(&aside).map_err(|e| io("create", &aside, e))?;
        file.write_all(bytes).map_err(|e| io("write", &aside, e))?;
        file.sync_all().map_err(|e| io("sync", &aside, e))?;
        fs::rename(&aside, path).map_err(|e| io("rename", &aside, e))?;
        sync_folder(&self.blobs)
    }
}

/// The database of a home.
pub(super) fn database(folder: &Path) -> PathBuf {
    folder.join("apprentice.db")
}

/// The blobs of a home.
pub(super) fn blobs(folder: &Path) -> PathBuf {
    folder.join("adapters")
}

fn blob_path(blobs: &Path, hash: &str) -> PathBuf {
    // A hash is 64 hex digits; anything else must not become a path out of the folder.
    let safe: String = hash.chars().filter(char::is_ascii_alphanumeric).collect();
    blobs.join(safe)
}

/// A blob's bytes, checked against the hash; `None` if there is none of that name.
pub(super) fn read_blob(blobs: &Path, hash: &str) -> StoreResult<Option<Vec<u8>>> {
    let path = blob_path(blobs, hash);
    match fs::read(&path) {
        Ok(bytes) => checked(hash, bytes).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io("read", &path, error)),
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
        transaction.commit()?;
        // What was deleted is in the log's older pages until the log is emptied. What is durable stays so if that fails;
        // the next one empties it.
        if writes.iter().any(|write| write.value.is_none()) {
            empty_log(&self.connection).ok();
        }
        Ok(())
    }

    async fn put_blob(&self, bytes: &[u8]) -> StoreResult<String> {
        let hash = sha256_hex(bytes);
        let path = blob_path(&self.blobs, &hash);
        // A file of this name that is damaged is replaced; a whole one needs no second write.
        if matches!(self.get_blob(&hash).await, Ok(Some(_))) {
            return Ok(hash);
        }
        self.write(&path, bytes)?;
        Ok(hash)
    }

    async fn get_blob(&self, hash: &str) -> StoreResult<Option<Vec<u8>>> {
        read_blob(&self.blobs, hash)
    }

    async fn compress_blob(&self, hash: &str) -> StoreResult<()> {
        let path = blob_path(&self.blobs, hash);
        let kept = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            kept => kept.map_err(|e| io("read", &path, e))?,
        };
        match smaller(hash, &kept) {
            Some(small) => self.write(&path, &small),
            None => Ok(()),
        }
    }

    async fn delete_blob(&self, hash: &str) -> StoreResult<()> {
        let path = blob_path(&self.blobs, hash);
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

/// Takes the home for this process, or says which one has it.
fn lock(folder: &Path) -> StoreResult<File> {
    let path = folder.join("lock");
    let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = opened.map_err(|e| io("open", &path, e))?;
    let mut locked = file.try_lock();
    for _ in 1..LOCK_TRIES {
        if matches!(locked, Err(TryLockError::WouldBlock)) {
            std::thread::sleep(LOCK_PAUSE);
            locked = file.try_lock();
        }
    }
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let home = folder.display().to_string();
            let holder = fs::read_to_string(&path).unwrap_or_default();
            return Err(StoreError::Held { home, process: holder.trim().to_string() });
        }
        Err(TryLockError::Error(error)) => return Err(io("lock", &path, error)),
    }
    let written = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
    written.map_err(|e| io("write", &path, e))?;
    Ok(file)
}

/// Moves the log into the database and cuts it to nothing.
fn empty_log(connection: &Connection) -> StoreResult<()> {
    Ok(connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
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
