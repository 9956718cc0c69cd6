//! What a hundred versions take of the disk beside ten, in a home on the disk, and whether the oldest is there at once.
//!
//! On the student that is a table, with as many numbers beside it that move in every cycle as make an adapter of a size that
//! counts; bytes do not depend on the machine, times are printed and not asserted. Invariant: every version that is kept can be served.

use crate::learn_fake::{Fake, clock, open_at};
use apprentice::learn::example::NewExample;
use apprentice::learn::prune::ANCESTORS;
use apprentice::learn::report::LearnOptions;
use apprentice::store::native::NativeStore;
use apprentice::store::{Store, sha256_hex};
use pollster::block_on;
use std::fs;
use std::path::Path;
use std::time::Instant;

/// Numbers that move: an adapter of a tenth of the default model's at rank 8.
const WALKING: usize = 240_000;

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

/// Bytes of a home after so many cycles, its files closed.
fn home_after(cycles: usize) -> u64 {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let mut student = Fake { walking: WALKING, ..Fake::new() };
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
        bytes_below(folder.path())
    })
}

#[test]
fn a_hundred_versions_take_at_most_twice_the_bytes_of_ten() {
    let (ten, hundred) = (home_after(10), home_after(100));
    let ratio = hundred as f64 / ten as f64;
    println!("10 cycles: {ten} bytes; 100 cycles: {hundred} bytes; {ratio:.3} times as many");
    assert!(ratio <= 2.0, "{hundred} bytes are {ratio:.3} times {ten}");
}
