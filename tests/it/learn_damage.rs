//! A full disk at any write, a flipped byte anywhere in a home, and a second program at its door.
//!
//! Invariant: HEAD answers as before or as after, what is damaged is told, and nothing panics.

use crate::learn_fake::{Fake, open};
use crate::learn_history::{fact, learn};
use apprentice::learn::learner::{LearnResult, Learner};
use apprentice::learn::position::Pace;
use apprentice::learn::report::LearnOptions;
use apprentice::store::memory::MemoryStore;
use apprentice::store::native::NativeStore;
use apprentice::store::{Store, StoreError, StoreResult, Table, Write, sha256_hex};
use pollster::block_on;
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A store whose medium is full for one write; the next one finds room again.
#[derive(Clone)]
struct Full {
    store: MemoryStore,
    writes: Rc<Cell<usize>>,
    full_at: usize,
}

impl Full {
    fn new(store: MemoryStore, full_at: usize) -> Self {
        Self { store, writes: Rc::default(), full_at }
    }

    fn admit(&self) -> StoreResult<()> {
        let number = self.writes.replace(self.writes.get() + 1);
        if number != self.full_at {
            return Ok(());
        }
        let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
        Err(StoreError::Io { what: "write".into(), source })
    }
}

#[async_trait::async_trait(?Send)]
impl Store for Full {
    async fn get(&self, table: Table, key: &str) -> StoreResult<Option<Vec<u8>>> {
        self.store.get(table, key).await
    }

    async fn list(&self, table: Table) -> StoreResult<Vec<(String, Vec<u8>)>> {
        self.store.list(table).await
    }

    async fn apply(&self, writes: &[Write]) -> StoreResult<()> {
        self.admit()?;
        self.store.apply(writes).await
    }

    async fn put_blob(&self, bytes: &[u8]) -> StoreResult<String> {
        self.admit()?;
        self.store.put_blob(bytes).await
    }

    async fn get_blob(&self, hash: &str) -> StoreResult<Option<Vec<u8>>> {
        self.store.get_blob(hash).await
    }

    async fn compress_blob(&self, hash: &str) -> StoreResult<()> {
        self.admit()?;
        self.store.compress_blob(hash).await
    }

    async fn delete_blob(&self, hash: &str) -> StoreResult<()> {
        self.admit()?;
        self.store.delete_blob(hash).await
    }

    async fn list_blobs(&self) -> StoreResult<Vec<String>> {
        self.store.list_blobs().await
    }
}

/// Goes on through a refusal, as a person would: the next thing is tried in the same program.
async fn life<S: Store>(learner: &mut Learner<S>) -> [LearnResult<()>; 6] {
    let mut student = Fake::new();
    let options = LearnOptions::default();
    let quiet = &mut |_| {};
    [
        learner.teach(vec![fact(1), fact(2)]).await.map(drop),
        learner.learn(&mut student, &options, quiet).await.map(drop),
        learner.tag("now", None, true).await,
        learner.rollback(&mut student, None).await.map(drop),
        learner.forget(&mut student, &fact(0).id(), quiet).await.map(drop),
        learner.learn(&mut student, &options, quiet).await.map(drop),
    ]
}

async fn state<S: Store>(learner: &Learner<S>) -> (Option<String>, Vec<String>, usize, String) {
    let adapter = learner.head_adapter().await.unwrap();
    (
        adapter.map(|adapter| sha256_hex(&adapter.to_bytes())),
        learner.examples().iter().map(|example| example.id.clone()).collect(),
        learner.log().len(),
        format!("{:?}", learner.names()),
    )
}

#[test]
fn a_full_disk_at_any_write_is_told_and_life_goes_on() {
    block_on(async {
        let origin = MemoryStore::new();
        learn(&mut open(origin.clone()).await, &mut Fake::new(), &[0]).await;
        let roomy = Full::new(origin.fork(), usize::MAX);
        let mut learner = open(roomy.clone()).await.with_checkpoints(Pace::EveryStep);
        for done in life(&mut learner).await {
            done.unwrap();
        }
        let writes = roomy.writes.get();
        assert!(writes > 15, "{writes} writes");
        for full_at in 0..writes {
            let store = Full::new(origin.fork(), full_at);
            let Ok(mut learner) = Learner::open(store.clone(), Box::new(|| 9_000_000), 7).await
            else {
                continue;
            };
            learner = learner.with_suites(crate::learn_fake::suites());
            learner = learner.with_checkpoints(Pace::EveryStep);
            let told = life(&mut learner).await.iter().filter(|done| done.is_err()).count();
            assert!(told <= 4, "full at {full_at}: {told} refused");
            let fresh = open(store.store.clone()).await;
            assert_eq!(state(&learner).await, state(&fresh).await, "full at {full_at}");
            assert_eq!(fresh.audit().await.unwrap().breaks, [] as [String; 0]);
            assert_eq!(fresh.warnings(), [] as [String; 0], "full at {full_at}");
        }
    });
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("adapters")).unwrap();
    for file in files(from) {
        fs::copy(&file, to.join(file.strip_prefix(from).unwrap())).unwrap();
    }
}

fn files(home: &Path) -> Vec<PathBuf> {
    let folders = [home.to_path_buf(), home.join("adapters")];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    files
}

#[test]
fn a_flipped_byte_anywhere_in_a_home_is_told_or_harmless() {
    block_on(async {
        let home = tempfile::tempdir().unwrap();
        let mut heads = vec![None];
        {
            let mut learner = open(NativeStore::open(home.path()).unwrap()).await;
            let mut student = Fake::new();
            for number in 0..2 {
                heads.push(Some(learn(&mut learner, &mut student, &[number]).await));
            }
        }
        let (mut flips, mut refused, mut told, mut harmless) = (0, 0, 0, 0);
        for file in files(home.path()) {
            let bytes = fs::read(&file).unwrap();
            let name = file.strip_prefix(home.path()).unwrap();
            let step = (bytes.len() / 150).max(1);
            for at in (0..bytes.len()).step_by(step) {
                let copied = tempfile::tempdir().unwrap();
                copy(home.path(), copied.path());
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << (at % 8);
                fs::write(copied.path().join(name), flipped).unwrap();
                flips += 1;
                let Ok(store) = NativeStore::open(copied.path()) else {
                    refused += 1;
                    continue;
                };
                let now: fn() -> u64 = || 9_000_000;
                let Ok(learner) = Learner::open(store, Box::new(now), 7).await else {
                    refused += 1;
                    continue;
                };
                let head = learner.head().map(|version| version.id.clone());
                let context = format!("{} byte {at}", name.display());
                assert!(heads.contains(&head), "{context}: {head:?}");
                if head != heads[2] {
                    assert!(!learner.warnings().is_empty(), "{context}: HEAD fell back in silence");
                }
                // The adapter that answers is one that was promoted.
                learner.head_adapter().await.unwrap();
                let texts = learner.examples().len() == 2;
                assert!(texts || !learner.warnings().is_empty(), "{context}: a lesson is missing");
                for example in learner.examples() {
                    assert!(
                        [fact(0).content, fact(1).content].contains(&example.content),
                        "{context}"
                    );
                }
                if name.starts_with("adapters") {
                    // An older version's adapter is read when it is asked for, or by an audit.
                    assert!(!learner.audit().await.unwrap().breaks.is_empty(), "{context}");
                }
                match learner.warnings().is_empty() {
                    true => harmless += 1,
                    false => told += 1,
                }
            }
        }
        println!("{flips} flips: {refused} refused, {told} told, {harmless} without a trace");
        assert!(flips > 400 && refused > 0 && told > 50, "{flips} {refused} {told}");
    });
}

#[test]
fn a_second_program_is_told_who_holds_the_home() {
    let home = tempfile::tempdir().unwrap();
    let first = NativeStore::open(home.path()).unwrap();
    let Err(StoreError::Held { process, .. }) = NativeStore::open(home.path()) else {
        panic!("two hold one home");
    };
    assert_eq!(process, std::process::id().to_string());
    drop(first);
    NativeStore::open(home.path()).unwrap();
}
