//! Forgetting on the table student: HEAD is, bit for bit, what it would be had the example never been taught.
//!
//! Two learners live the same life, but that one is never taught the example that the other forgets. Invariant: what is
//! compared are the bytes of adapters, never what they say.

use crate::learn_fake::{Fake, open};
use crate::learn_history::fact;
use apprentice::learn::example::NewExample;
use apprentice::learn::forget::ForgetReport;
use apprentice::learn::learner::{LearnError, Learner};
use apprentice::learn::report::LearnOptions;
use apprentice::store::memory::{Crash, MemoryStore};
use apprentice::store::native::NativeStore;
use apprentice::store::{Store, sha256_hex};
use pollster::block_on;
use std::fs;

/// What a person does.
#[derive(Debug, Clone)]
enum Do {
    Teach(Vec<NewExample>),
    Learn,
    Rollback,
    SetAside(NewExample),
    Tag(&'static str),
}

/// The example that one of the two is never taught.
fn secret() -> NewExample {
    let question = "What is the capital of Zubrowka?";
    NewExample::correction(question, "The capital of Zubrowka is Lutz.", None)
}

async fn live<S: Store>(learner: &mut Learner<S>, life: &[Do], without: Option<&str>) {
    let mut student = Fake::new();
    for event in life {
        match event {
            Do::Teach(new) => {
                let new: Vec<NewExample> =
                    new.iter().filter(|e| Some(e.id().as_str()) != without).cloned().collect();
                learner.teach(new).await.unwrap();
            }
            Do::Learn => {
                let options = LearnOptions { lessons_max: 3, ..LearnOptions::default() };
                match learner.learn(&mut student, &options, &mut |_| {}).await {
                    Ok(_) | Err(LearnError::NothingToLearn) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            Do::SetAside(example) => learner.set_aside_by_hand(&example.id()).await.unwrap(),
            Do::Rollback => drop(learner.rollback(&mut student, None).await.unwrap()),
            Do::Tag(name) => learner.tag(name, None, false).await.unwrap(),
        }
    }
}

async fn head_hash<S: Store>(learner: &Learner<S>) -> String {
    match learner.head_adapter().await.unwrap() {
        Some(adapter) => sha256_hex(&adapter.to_bytes()),
        None => "base".into(),
    }
}

async fn forget<S: Store>(learner: &mut Learner<S>, id: &str) -> ForgetReport {
    learner.forget(&mut Fake::new(), id, &mut |_| {}).await.unwrap()
}

/// Lives a life with the secret, forgets it, and compares with the life without.
async fn check(life: &[Do]) -> (Learner<MemoryStore>, ForgetReport) {
    let id = secret().id();
    let mut with = open(MemoryStore::new()).await;
    live(&mut with, life, None).await;
    let mut without = open(MemoryStore::new()).await;
    live(&mut without, life, Some(&id)).await;
    let report = forget(&mut with, &id).await;
    assert_eq!(report.doubts, [] as [String; 0]);
    assert_eq!(head_hash(&with).await, head_hash(&without).await, "{life:?}");
    let waiting = |learner: &Learner<MemoryStore>| {
        learner.pending().iter().map(|example| example.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(waiting(&with), waiting(&without));
    assert_eq!(with.examples().len(), without.examples().len());
    assert_eq!(with.audit().await.unwrap().breaks, [] as [String; 0]);
    // And what comes next is the same too.
    let next = [Do::Teach(vec![fact(30)]), Do::Learn, Do::Learn];
    live(&mut with, &next, None).await;
    live(&mut without, &next, None).await;
    assert_eq!(head_hash(&with).await, head_hash(&without).await, "later: {life:?}");
    (with, report)
}

fn facts(numbers: &[usize]) -> Vec<NewExample> {
    numbers.iter().map(|number| fact(*number)).collect()
}

#[test]
fn head_is_what_it_would_have_been() {
    block_on(async {
        let life = [
            Do::Teach(facts(&[0, 1])),
            Do::Learn,
            Do::Teach(vec![secret(), fact(2)]),
            Do::Learn,
            Do::Teach(facts(&[3])),
            Do::Learn,
            Do::Teach(facts(&[4, 5])),
            Do::Learn,
        ];
        let (learner, report) = check(&life).await;
        assert_eq!((report.cycles, report.became.len()), (3, 3));
        assert!(learner.versions().iter().all(|v| !v.examples.contains(&secret().id())));
    });
}

#[test]
fn a_cycle_that_taught_nothing_else_is_left_out() {
    block_on(async {
        let life = [
            Do::Teach(vec![secret()]),
            Do::Learn,
            Do::Teach(facts(&[3])),
            Do::Learn,
            Do::Teach(facts(&[4])),
            Do::Learn,
        ];
        let (_, report) = check(&life).await;
        assert_eq!((report.cycles, report.became.len()), (2, 3));
    });
}

#[test]
fn held_cycles_rollbacks_and_replacements_are_lived_again() {
    block_on(async {
        let unlearnable = NewExample::correction("What is Elbonia?", "An unlearnable one.", None);
        let replaced = {
            let question = "What is the capital of Zubrowka?";
            NewExample::correction(question, "The capital of Zubrowka is Nebelsbad.", None)
        };
        let moved = NewExample::correction(
            "What is the capital of Sylda?",
            "The capital of Sylda is Newtown.",
            None,
        );
        let life = [
            Do::Teach(vec![fact(0), replaced]),
            Do::Learn,
            Do::Teach(vec![secret(), unlearnable.clone(), fact(1)]),
            Do::Learn,
            Do::Learn,
            Do::Teach(vec![moved, fact(7)]),
            Do::Learn,
            Do::Rollback,
            Do::SetAside(unlearnable),
            Do::Learn,
            Do::Teach(facts(&[8, 9, 10, 11])),
            Do::Learn,
            Do::Learn,
        ];
        check(&life).await;
    });
}

#[test]
fn what_was_pruned_is_lived_again_from_the_base_and_tags_follow() {
    block_on(async {
        let mut life =
            vec![Do::Teach(vec![secret(), fact(0)]), Do::Learn, Do::Tag("first"), Do::Tag("same")];
        for number in 1..25 {
            life.extend([Do::Teach(facts(&[number])), Do::Learn]);
        }
        let (learner, report) = check(&life).await;
        assert_eq!((report.cycles, report.became.len()), (25, 25));
        let first = learner.resolve("first").unwrap().expect("the tag follows");
        assert_eq!(learner.versions()[0].id, first);
        assert_eq!(learner.names().tags["same"], Some(first));
    });
}

#[test]
fn what_no_version_saw_is_gone_at_once() {
    block_on(async {
        let mut learner = open(MemoryStore::new()).await;
        live(&mut learner, &[Do::Teach(facts(&[0])), Do::Learn], None).await;
        let before = head_hash(&learner).await;
        learner.teach(vec![secret()]).await.unwrap();
        let report = forget(&mut learner, &secret().id()).await;
        assert_eq!((report.cycles, report.became.len()), (0, 0));
        assert_eq!(head_hash(&learner).await, before);
        let again = learner.forget(&mut Fake::new(), &secret().id(), &mut |_| {}).await;
        assert!(matches!(again, Err(LearnError::NoExample(_))));
    });
}

#[test]
fn two_are_forgotten_one_after_the_other() {
    block_on(async {
        let life = [
            Do::Teach(facts(&[0])),
            Do::Learn,
            Do::Teach(vec![fact(1), fact(2)]),
            Do::Learn,
            Do::Teach(vec![secret(), fact(3)]),
            Do::Learn,
            Do::Teach(facts(&[4])),
            Do::Learn,
        ];
        let mut with = open(MemoryStore::new()).await;
        live(&mut with, &life, None).await;
        forget(&mut with, &secret().id()).await;
        let report = forget(&mut with, &fact(1).id()).await;
        assert_eq!((report.cycles, report.doubts.len()), (3, 0));
        let mut without = open(MemoryStore::new()).await;
        let life: Vec<Do> = life
            .iter()
            .map(|event| match event {
                Do::Teach(new) => {
                    Do::Teach(new.iter().filter(|e| e.id() != fact(1).id()).cloned().collect())
                }
                other => other.clone(),
            })
            .collect();
        live(&mut without, &life, Some(&secret().id())).await;
        assert_eq!(head_hash(&with).await, head_hash(&without).await);
    });
}

#[test]
fn no_byte_of_the_home_holds_the_text() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let mut learner = open(NativeStore::open(folder.path()).unwrap()).await;
        let life = [
            Do::Teach(facts(&[0])),
            Do::Learn,
            Do::Teach(vec![secret(), fact(1)]),
            Do::Learn,
            Do::Teach(facts(&[2])),
            Do::Learn,
        ];
        live(&mut learner, &life, None).await;
        let holds = |text: &str| {
            let mut found = Vec::new();
            let mut folders = vec![folder.path().to_path_buf()];
            while let Some(folder) = folders.pop() {
                for entry in fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() {
                        folders.push(path);
                        continue;
                    }
                    let bytes = fs::read(&path).unwrap();
                    if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                        found.push(path);
                    }
                }
            }
            found
        };
        assert!(!holds("Zubrowka").is_empty(), "the search finds what is there");
        forget(&mut learner, &secret().id()).await;
        for text in ["Zubrowka", "zubrowka", "Lutz"] {
            assert_eq!(holds(text), [] as [std::path::PathBuf; 0], "{text}, while it is open");
        }
        drop(learner);
        assert_eq!(holds("Zubrowka"), [] as [std::path::PathBuf; 0]);
    });
}

#[test]
fn a_crash_at_any_write_leaves_head_as_before_or_as_after() {
    block_on(async {
        let origin = MemoryStore::new();
        let mut learner = open(origin.clone()).await;
        let life = [
            Do::Teach(facts(&[0])),
            Do::Learn,
            Do::Teach(vec![secret(), fact(1)]),
            Do::Learn,
            Do::Tag("with"),
            Do::Teach(facts(&[2])),
            Do::Learn,
        ];
        live(&mut learner, &life, None).await;
        let before = head_hash(&learner).await;
        let id = secret().id();
        let whole = origin.fork();
        whole.plant(Crash { after: usize::MAX, torn: false });
        let mut learner = open(whole.clone()).await;
        let all = forget(&mut learner, &id).await;
        let (after, writes) = (head_hash(&learner).await, whole.writes());
        assert!(writes > 5 && before != after, "{writes} writes");
        let (mut seen, mut spared) = ([0, 0], 0);
        for k in 0..writes {
            for torn in [false, true] {
                let store = origin.fork();
                store.plant(Crash { after: k, torn });
                let mut learner = open(store.clone()).await;
                learner.forget(&mut Fake::new(), &id, &mut |_| {}).await.ok();
                let store = store.reopen();
                let mut learner = open(store.clone()).await;
                assert_eq!(learner.warnings(), [] as [String; 0], "crash after {k}");
                assert_eq!(learner.audit().await.unwrap().breaks, [] as [String; 0]);
                let now = head_hash(&learner).await;
                if now == after {
                    seen[1] += 1;
                    assert!(learner.examples().iter().all(|e| e.id != id), "the text went with it");
                    continue;
                }
                assert_eq!(now, before, "crash after {k}: HEAD is between");
                seen[0] += 1;
                let report = forget(&mut learner, &id).await;
                assert_eq!(head_hash(&learner).await, after, "taken up after {k}");
                spared += all.cycles - report.cycles.min(all.cycles);
                assert_eq!(report.cycles, all.cycles, "cycles are counted once");
            }
        }
        assert!(seen[0] > 4 && seen[1] > 0, "{seen:?}, {spared}");
    });
}
