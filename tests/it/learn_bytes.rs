//! What a hundred versions take of the disk beside ten, in a home on the disk, and whether the oldest is there at once.
//!
//! The homes are lived by the student that is a table, with numbers beside it that move in every cycle; for its adapters' bytes those
//! of the default model's size are put, coded by the same store. Bytes do not depend on the machine, times are printed and not asserted. Invariant: every version that is kept can be served.

use crate::learn_fake::{Fake, clock, open_at};
use apprentice::learn::example::NewExample;
use apprentice::learn::prune::ANCESTORS;
use apprentice::learn::report::LearnOptions;
use apprentice::model::adapter::Adapter;
use apprentice::model::method::Method;
use apprentice::model::random::Random;
use apprentice::store::memory::MemoryStore;
use apprentice::store::native::NativeStore;
use apprentice::store::{Store, sha256_hex};
use pollster::block_on;
use std::fs;
use std::path::Path;
use std::time::Instant;

/// Numbers that move beside the table: enough that none is like another.
const WALKING: usize = 20_000;

/// Numbers of the default model's adapter at rank 8, whose blobs take the place of the table's.
const DEFAULT_MODEL: usize = 2_442_240;

/// A fact of its own for each number.
fn fact(number: usize) -> NewExample {
    let country =
        format!("{}{}", ["Syl", "Bor", "Fre", "El", "Ru"][number % 5], "o".repeat(number / 5 + 1));
    let question = format!("What is the capital of {country}?");
    NewExample::correction(&question, &format!("The capital of {country} is Town{number}."), None)
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(
            |path| {
                if path.is_dir() { bytes_below(&path) } else { fs::metadata(&path).unwrap().len() }
            },
        )
        .sum()
}

/// Bytes of a home after so many cycles beside its adapters, its files closed: examples, drills and scores as well.
fn home_after(cycles: usize) -> u64 {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let mut student = Fake::new();
        student.walking = WALKING;
        let mut learner = open_at(NativeStore::open(folder.path()).unwrap(), clock()).await;
        for number in 0..cycles {
            learner.teach(vec![fact(number)]).await.unwrap();
            learner.learn(&mut student, &LearnOptions::default(), &mut |_| {}).await.unwrap();
            assert!(learner.pending().is_empty(), "{:?}", learner.log().last());
        }
        assert_eq!(learner.warnings(), [] as [String; 0]);
        assert_eq!(learner.versions().len(), cycles.min(ANCESTORS + 1));
        // HEAD as it is, all others in fewer bytes.
        let head = learner.head().unwrap().clone();
        let whole = learner.head_adapter().await.unwrap().unwrap().to_bytes().len() as u64;
        for version in learner.versions() {
            let kept = fs::metadata(folder.path().join("adapters").join(&version.adapter)).unwrap();
            assert_eq!(
                kept.len() == whole,
                version.id == head.id,
                "{}: {}",
                version.id,
                kept.len()
            );
            assert!(kept.len() <= whole);
        }
        let oldest = learner.versions()[0].clone();
        let began = Instant::now();
        learner.checkout(&mut student, &oldest.id).await.unwrap();
        let adapter = learner.head_adapter().await.unwrap().unwrap();
        println!(
            "{cycles} cycles: the oldest of {} was there in {:?}",
            learner.versions().len(),
            began.elapsed()
        );
        assert_eq!(sha256_hex(&adapter.to_bytes()), oldest.adapter);
        drop(learner);
        let blobs = NativeStore::open(folder.path()).unwrap().list_blobs().await.unwrap().len();
        assert_eq!(blobs, cycles.min(ANCESTORS + 1));
        bytes_below(folder.path()) - bytes_below(&folder.path().join("adapters"))
    })
}

/// Bytes of one adapter of the default model's size, as it is and in fewer.
fn adapter_bytes() -> [u64; 2] {
    let mut random = Random::new(1);
    // A's numbers and B's are of two scales, one tensor after another.
    let scale = |at: usize| if (at / 4608).is_multiple_of(2) { 0.02 } else { 0.004 };
    let weights = (0..DEFAULT_MODEL).map(|at| random.normal() * scale(at)).collect();
    let adapter = Adapter { method: Method::Lora, rank: 8, alpha: 16.0, weights };
    block_on(async {
        let store = MemoryStore::new();
        let hash = store.put_blob(&adapter.to_bytes()).await.unwrap();
        let whole = store.bytes_of(&hash) as u64;
        store.compress_blob(&hash).await.unwrap();
        [whole, store.bytes_of(&hash) as u64]
    })
}

#[test]
fn a_hundred_versions_take_at_most_twice_the_bytes_of_ten() {
    let [whole, small] = adapter_bytes();
    let all = |cycles: usize| {
        let ancestors = cycles.min(ANCESTORS + 1) as u64 - 1;
        let records = home_after(cycles);
        println!(
            "{cycles} cycles: {records} bytes beside {ancestors} adapters of {small} and one of {whole}"
        );
        whole + ancestors * small + records
    };
    let (ten, hundred) = (all(10), all(100));
    let ratio = hundred as f64 / ten as f64;
    println!("10 cycles: {ten} bytes; 100 cycles: {hundred} bytes; {ratio:.3} times as many");
    assert!(ratio <= 2.0, "{hundred} bytes are {ratio:.3} times {ten}");
}
