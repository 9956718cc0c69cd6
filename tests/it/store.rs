//! One behaviour, every home: the same checks run against the store in memory and the one on disk.

use apprentice::store::memory::{Crash, MemoryStore};
use apprentice::store::native::NativeStore;
use apprentice::store::{Store, StoreError, Table, Write, sha256_hex};
use pollster::block_on;

fn put(table: Table, key: &str, value: &str) -> Write {
    Write::put(table, key, value.as_bytes().to_vec())
}

async fn check_records(store: &dyn Store) {
    assert_eq!(store.get(Table::Refs, "HEAD").await.unwrap(), None);
    let writes =
        [put(Table::Refs, "b", "2"), put(Table::Refs, "a", "1"), put(Table::Journal, "a", "other")];
    store.apply(&writes).await.unwrap();
    let rows = store.list(Table::Refs).await.unwrap();
    assert_eq!(rows, [("a".into(), b"1".to_vec()), ("b".into(), b"2".to_vec())]);
    assert_eq!(store.get(Table::Journal, "a").await.unwrap(), Some(b"other".to_vec()));

    let writes = [
        put(Table::Refs, "a", ""),
        Write::delete(Table::Refs, "b"),
        Write::delete(Table::Refs, "never"),
    ];
    store.apply(&writes).await.unwrap();
    assert_eq!(store.list(Table::Refs).await.unwrap(), [("a".into(), Vec::new())]);
}

async fn check_blobs(store: &dyn Store) {
    let hash = store.put_blob(b"weights").await.unwrap();
    assert_eq!(hash, sha256_hex(b"weights"));
    assert_eq!(store.put_blob(b"weights").await.unwrap(), hash, "the same bytes, the same name");
    assert_eq!(store.get_blob(&hash).await.unwrap(), Some(b"weights".to_vec()));
    let empty = store.put_blob(b"").await.unwrap();
    let mut names = vec![hash.clone(), empty.clone()];
    names.sort();
    assert_eq!(store.list_blobs().await.unwrap(), names);
    store.delete_blob(&hash).await.unwrap();
    store.delete_blob(&hash).await.unwrap();
    assert_eq!(store.get_blob(&hash).await.unwrap(), None);
    assert_eq!(store.list_blobs().await.unwrap(), [empty]);
}

#[test]
fn memory_keeps_the_contract() {
    let store = MemoryStore::new();
    block_on(check_records(&store));
    block_on(check_blobs(&store));
}

#[test]
fn native_keeps_the_contract_across_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let hash = {
        let store = NativeStore::open(folder.path()).unwrap();
        block_on(check_records(&store));
        block_on(check_blobs(&store));
        block_on(store.put_blob(b"kept")).unwrap()
    };
    std::fs::write(folder.path().join("adapters/half.tmp"), b"half").unwrap();
    let store = NativeStore::open(folder.path()).unwrap();
    assert_eq!(block_on(store.get(Table::Refs, "a")).unwrap(), Some(Vec::new()));
    assert_eq!(block_on(store.get_blob(&hash)).unwrap(), Some(b"kept".to_vec()));
    assert!(!folder.path().join("adapters/half.tmp").exists(), "a half-written file is removed");
}

#[test]
fn damaged_blobs_are_errors() {
    let store = MemoryStore::new();
    let hash = block_on(store.put_blob(b"weights")).unwrap();
    store.flip(&hash, 3);
    assert!(matches!(block_on(store.get_blob(&hash)), Err(StoreError::Damaged { .. })));

    let folder = tempfile::tempdir().unwrap();
    let store = NativeStore::open(folder.path()).unwrap();
    let hash = block_on(store.put_blob(b"weights")).unwrap();
    std::fs::write(folder.path().join("adapters").join(&hash), b"weightz").unwrap();
    assert!(matches!(block_on(store.get_blob(&hash)), Err(StoreError::Damaged { .. })));
    assert_eq!(block_on(store.put_blob(b"weights")).unwrap(), hash);
    assert_eq!(block_on(store.get_blob(&hash)).unwrap(), Some(b"weights".to_vec()), "healed");
}

#[test]
fn native_applies_all_writes_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = NativeStore::open(folder.path()).unwrap();
    // A second connection makes the second write of the list fail.
    let other = rusqlite::Connection::open(folder.path().join("apprentice.db")).unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER refuse BEFORE INSERT ON records WHEN NEW.key = 'bad'
             BEGIN SELECT RAISE(ABORT, 'planted'); END;",
        )
        .unwrap();
    let writes = [put(Table::Refs, "good", "1"), put(Table::Refs, "bad", "2")];
    assert!(matches!(block_on(store.apply(&writes)), Err(StoreError::Sql(_))));
    assert_eq!(block_on(store.list(Table::Refs)).unwrap(), []);
    block_on(store.apply(&writes[..1])).unwrap();
    assert_eq!(block_on(store.list(Table::Refs)).unwrap().len(), 1);
}

#[test]
fn a_planted_crash_stops_every_later_write() {
    let store = MemoryStore::new();
    store.plant(Crash { after: 1, torn: true });
    block_on(store.apply(&[put(Table::Refs, "a", "1")])).unwrap();
    assert!(matches!(block_on(store.put_blob(b"weights")), Err(StoreError::Crashed)));
    assert!(block_on(store.apply(&[put(Table::Refs, "a", "2")])).is_err());
    let store = store.reopen();
    assert_eq!(block_on(store.get(Table::Refs, "a")).unwrap(), Some(b"1".to_vec()));
    let torn = block_on(store.get_blob(&sha256_hex(b"weights")));
    assert!(matches!(torn, Err(StoreError::Damaged { .. })), "a torn blob is noticed");
}
