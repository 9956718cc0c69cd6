//! One behaviour, every home: the same checks run against the store in memory and the one on disk.

use apprentice::model::random::Random;
use apprentice::store::look::Watch;
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

/// Numbers of one scale, as adapters hold them.
fn numbers(n: usize) -> Vec<u8> {
    let mut random = Random::new(3);
    (0..n).flat_map(|_| (random.normal() * 0.02).to_le_bytes()).collect()
}

async fn check_compressed(store: &dyn Store) {
    let whole = numbers(5000);
    let hash = store.put_blob(&whole).await.unwrap();
    let names = store.list_blobs().await.unwrap();
    for _ in 0..2 {
        store.compress_blob(&hash).await.unwrap();
        assert_eq!(store.get_blob(&hash).await.unwrap().as_ref(), Some(&whole));
    }
    assert_eq!(store.list_blobs().await.unwrap(), names, "it keeps its name, and adds none");
    // Kept again it has the same name and the same bytes, and what cannot become smaller stays.
    assert_eq!(store.put_blob(&whole).await.unwrap(), hash);
    assert_eq!(store.get_blob(&hash).await.unwrap(), Some(whole));
    let short = store.put_blob(b"weights").await.unwrap();
    store.compress_blob(&short).await.unwrap();
    assert_eq!(store.get_blob(&short).await.unwrap(), Some(b"weights".to_vec()));
    store.compress_blob(&sha256_hex(b"never")).await.unwrap();
    for hash in [hash, short] {
        store.delete_blob(&hash).await.unwrap();
    }
}

#[test]
fn memory_keeps_the_contract() {
    let store = MemoryStore::new();
    block_on(check_records(&store));
    block_on(check_blobs(&store));
    block_on(check_compressed(&store));
}

#[test]
fn a_compressed_blob_is_smaller_in_every_home_and_every_flipped_byte_is_noticed() {
    let whole = numbers(2000);
    let folder = tempfile::tempdir().unwrap();
    let store = NativeStore::open(folder.path()).unwrap();
    let hash = block_on(store.put_blob(&whole)).unwrap();
    block_on(store.compress_blob(&hash)).unwrap();
    let path = folder.path().join("adapters").join(&hash);
    let small = std::fs::read(&path).unwrap();
    assert!(small.len() * 100 < whole.len() * 86, "{} of {}", small.len(), whole.len());
    // Whoever looks at the home without holding it reads it as well.
    let look = Watch::open(folder.path()).unwrap().copy().unwrap();
    assert_eq!(block_on(look.get_blob(&hash)).unwrap().as_ref(), Some(&whole));
    for byte in 0..small.len() {
        let mut flipped = small.clone();
        flipped[byte] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        let read = block_on(store.get_blob(&hash));
        // The end of the coded bytes may say the same with another bit; never something else.
        let same = matches!(&read, Ok(Some(bytes)) if *bytes == whole) && byte + 4 >= small.len();
        assert!(same || matches!(read, Err(StoreError::Damaged { .. })), "byte {byte}");
        if byte.is_multiple_of(500) {
            block_on(store.compress_blob(&hash)).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), flipped, "what is damaged is left alone");
        }
    }
    assert_eq!(block_on(store.put_blob(&whole)).unwrap(), hash);
    assert_eq!(block_on(store.get_blob(&hash)).unwrap(), Some(whole.clone()), "healed");
    let memory = MemoryStore::new();
    block_on(memory.put_blob(&whole)).unwrap();
    block_on(memory.compress_blob(&hash)).unwrap();
    assert_eq!(memory.bytes_of(&hash), small.len(), "one form in every home");
}

#[test]
fn native_keeps_the_contract_across_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let hash = {
        let store = NativeStore::open(folder.path()).unwrap();
        block_on(check_records(&store));
        block_on(check_blobs(&store));
        block_on(check_compressed(&store));
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
