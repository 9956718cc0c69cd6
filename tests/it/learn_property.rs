//! Ten thousand random operations against a model of what they should leave: lives of 500, with crashes in between.
//!
//! The model knows sets and names, no training. Invariant: what the learner holds in memory, what a fresh one reads, and
//! what the model expects are one; after a crash, what is read is the state before the operation or after it.

use crate::learn_fake::{Fake, open};
use crate::learn_history::fact;
use apprentice::learn::example::NewExample;
use apprentice::learn::learner::{LearnError, LearnResult, Learner};
use apprentice::learn::names::Names;
use apprentice::learn::report::LearnOptions;
use apprentice::model::random::Random;
use apprentice::model::ties::Merging;
use apprentice::store::memory::{Crash, MemoryStore};
use apprentice::store::{Store, Table, sha256_hex};
use pollster::block_on;
use std::collections::BTreeSet;

const LIVES: u64 = 20;
const OPERATIONS: usize = 500;

/// What a person or the program does.
#[derive(Debug, Clone)]
enum Do {
    Teach(NewExample),
    Learn,
    Rollback(String),
    Tag(String, String),
    Branch(String),
    Untag(String),
    Checkout(String),
    Merge(String),
    Forget(String),
    Delete(String),
    Reopen,
}

/// What can be seen of a learner.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    head: Option<String>,
    names: Names,
    examples: BTreeSet<String>,
    lines: usize,
}

fn seen(learner: &Learner<MemoryStore>) -> Seen {
    Seen {
        head: learner.head().map(|version| version.id.clone()),
        names: learner.names().clone(),
        examples: learner.examples().iter().map(|example| example.id.clone()).collect(),
        lines: learner.log().len(),
    }
}

/// One of twelve questions with one of two answers: the newer answer replaces the older.
fn example(random: &mut Random) -> NewExample {
    let number = random.below(12);
    let other = random.below(3) == 0;
    match other {
        true => {
            let content = fact(number).content;
            let (question, _) = content.question_answer().unwrap();
            NewExample::correction(question, &format!("It is Othertown{number}."), None)
        }
        false => fact(number),
    }
}

fn draw(learner: &Learner<MemoryStore>, random: &mut Random) -> Do {
    let mut pick =
        |from: &[String]| (!from.is_empty()).then(|| from[random.below(from.len())].clone());
    let versions: Vec<String> = learner.versions().iter().map(|v| v.id.clone()).collect();
    let branches: Vec<String> = learner.names().branches.keys().cloned().collect();
    let examples: Vec<String> = learner.examples().iter().map(|e| e.id.clone()).collect();
    let name = |random: &mut Random| format!("name{}", random.below(6));
    let (version, branch) = (pick(&versions), pick(&branches));
    let (taught, kind) = (pick(&examples), random.below(100));
    match (kind, version, branch, taught) {
        (0..30, ..) => Do::Teach(example(random)),
        (30..50, ..) => Do::Learn,
        (50..57, Some(version), ..) => Do::Rollback(version),
        (57..65, Some(version), ..) => Do::Tag(name(random), version),
        (65..70, ..) => Do::Branch(name(random)),
        (70..75, ..) => Do::Untag(name(random)),
        (75..83, _, Some(branch), _) => Do::Checkout(branch),
        (83..88, Some(version), ..) => Do::Merge(version),
        (88..91, _, _, Some(taught)) => Do::Forget(taught),
        (91..92, _, _, Some(taught)) => Do::Delete(taught),
        _ => Do::Reopen,
    }
}

/// A cycle that looks at little: what is tested is what becomes of it.
fn quick() -> LearnOptions {
    let mut options =
        LearnOptions { steps_max: Some(10), sample: Some(3), ..LearnOptions::quick() };
    options.recipe.neighbours = 1;
    options.recipe.near_misses = 1;
    options.recipe.rewordings = 1;
    options.recipe.samples_max = 1;
    options
}

async fn act(learner: &mut Learner<MemoryStore>, student: &mut Fake, what: &Do) -> LearnResult<()> {
    let options = quick();
    let quiet = &mut |_| {};
    match what {
        Do::Teach(new) => learner.teach(vec![new.clone()]).await.map(drop),
        Do::Learn => learner.learn(student, &options, quiet).await.map(drop),
        Do::Rollback(version) => learner.rollback(student, Some(version)).await.map(drop),
        Do::Tag(name, version) => learner.tag(name, Some(version), true).await,
        Do::Branch(name) => learner.branch(name, None).await,
        Do::Untag(name) => learner.remove_name(name).await,
        Do::Checkout(name) => learner.checkout(student, name).await.map(drop),
        Do::Merge(other) => {
            learner.merge(student, (other, Merging::Ties), &options, quiet).await.map(drop)
        }
        Do::Forget(id) => learner.forget(student, id, quiet).await.map(drop),
        Do::Delete(id) => learner.delete_example(id).await.map(drop),
        Do::Reopen => Ok(()),
    }
}

/// What the model says must hold between the states before and after an operation that succeeded.
fn check(what: &Do, before: &Seen, after: &Seen) {
    let moved = |names: &Names| {
        let mut names = names.clone();
        if let Some(branch) = names.current.clone() {
            names.branches.insert(branch, after.head.clone());
        }
        names
    };
    let context = || format!("{what:?}: {before:?} to {after:?}");
    let mut wanted = Seen { lines: before.lines + 1, ..before.clone() };
    match what {
        Do::Teach(new) => {
            assert!(after.examples.contains(&new.id()), "{}", context());
            wanted = Seen { examples: after.examples.clone(), lines: before.lines, ..wanted };
        }
        Do::Learn | Do::Merge(_) => {
            wanted = Seen { head: after.head.clone(), names: moved(&before.names), ..wanted };
        }
        Do::Rollback(version) => {
            wanted.head = Some(version.clone());
            wanted.names = moved(&before.names);
        }
        Do::Tag(name, version) => {
            drop(wanted.names.tags.insert(name.clone(), Some(version.clone())))
        }
        Do::Branch(name) => drop(wanted.names.branches.insert(name.clone(), before.head.clone())),
        Do::Untag(name) => {
            wanted.names.tags.remove(name);
            wanted.names.branches.remove(name);
        }
        Do::Checkout(name) => {
            wanted.head = before.names.branches[name].clone();
            wanted.names.current = Some(name.clone());
        }
        Do::Forget(id) | Do::Delete(id) => {
            assert!(!after.examples.contains(id), "{}", context());
            // What it had replaced can be there again; nothing else goes.
            let kept = before.examples.iter().filter(|other| *other != id);
            assert!(kept.clone().all(|other| after.examples.contains(other)), "{}", context());
            assert_eq!(
                after.names.tags.keys().collect::<Vec<_>>(),
                before.names.tags.keys().collect::<Vec<_>>()
            );
            wanted = Seen { lines: before.lines + 1, ..after.clone() };
        }
        Do::Reopen => wanted.lines = before.lines,
    }
    assert_eq!(*after, wanted, "{}", context());
}

/// What must hold whatever happened. Returns how many adapters are kept in fewer bytes.
async fn check_whole(store: &MemoryStore, learner: &Learner<MemoryStore>, context: &str) -> usize {
    assert_eq!(learner.warnings(), [] as [String; 0], "{context}");
    assert_eq!(learner.audit().await.unwrap().breaks, [] as [String; 0], "{context}");
    let (mut blobs, mut compressed) = (BTreeSet::new(), 0);
    for version in learner.versions() {
        let adapter = learner.adapter_of(version).await.unwrap();
        let whole = adapter.to_bytes();
        assert_eq!(sha256_hex(&whole), version.adapter, "{context}");
        compressed += usize::from(store.bytes_of(&version.adapter) < whole.len());
        blobs.insert(version.adapter.clone());
    }
    let named = learner.names();
    for version in named.roots().chain(&seen(learner).head) {
        assert!(
            learner.versions().iter().any(|v| v.id == *version),
            "{context}: {version} is kept"
        );
    }
    // Besides them, only what the newest held candidates left, a run that may go on, and a forgetting that may be taken up.
    let lying = store.list_blobs().await.unwrap().len();
    let staged = store.get(Table::Refs, "forgetting").await.unwrap().is_some();
    let cut_off = store.get(Table::Refs, "checkpoint").await.unwrap().is_some();
    let most = blobs.len() + 2 + 3 * usize::from(cut_off);
    assert!(staged || lying <= most, "{context}: {lying} adapters, {} versions", blobs.len());
    compressed
}

async fn live(seed: u64, tally: &mut [usize; 4]) {
    let mut random = Random::named(seed, "operations");
    let mut store = MemoryStore::new();
    let (mut learner, mut student) = (open(store.clone()).await, Fake::new());
    for number in 0..OPERATIONS {
        let what = draw(&learner, &mut random);
        let before = seen(&learner);
        let context = format!("life {seed}, operation {number}, {what:?}");
        let crash = random.below(8) == 0;
        if crash {
            store.plant(Crash { after: random.below(5), torn: random.below(2) == 0 });
        }
        let done = act(&mut learner, &mut student, &what).await;
        match &done {
            Err(LearnError::Store(_)) => assert!(crash, "{context}: {done:?}"),
            Err(_) => tally[2] += 1,
            Ok(()) => tally[0] += 1,
        }
        let succeeded = done.is_ok();
        if succeeded {
            check(&what, &before, &seen(&learner));
        }
        if crash || matches!(what, Do::Reopen) || number % 50 == 0 {
            tally[1] += usize::from(crash);
            let memory = seen(&learner);
            store = store.reopen();
            learner = open(store.clone()).await;
            tally[3] += check_whole(&store, &learner, &context).await;
            let read = seen(&learner);
            if succeeded || read == memory {
                assert_eq!(read, memory, "{context}: what was promised is there");
            } else if read != before {
                // The write that counts was durable, what follows it was not. A cycle that stopped has a line too.
                check(&what, &before, &read);
            }
        }
    }
    let journal = store.list(Table::Journal).await.unwrap();
    assert_eq!(journal.len(), learner.log().len());
}

#[test]
fn ten_thousand_random_operations_leave_what_the_model_says() {
    block_on(async {
        let mut tally = [0; 4];
        for seed in 0..LIVES {
            live(seed, &mut tally).await;
        }
        let [done, crashes, refused, compressed] = tally;
        println!("{done} done, {crashes} crashes planted, {refused} refused, {compressed} small");
        assert!(done > 6000 && crashes > 800 && compressed > 100, "{tally:?}");
    });
}
