//! What is kept out of training before a step is made, and how a person overrules it.

use crate::learn_fake::{Fake, open};
use apprentice::learn::example::NewExample;
use apprentice::learn::gate::Verdict;
use apprentice::learn::learner::{LearnError, Learner};
use apprentice::learn::report::{CycleReport, LearnOptions};
use apprentice::store::memory::MemoryStore;
use pollster::block_on;

async fn learn(learner: &mut Learner<MemoryStore>, student: &mut Fake) -> CycleReport {
    learner.learn(student, &LearnOptions::default(), &mut |_| {}).await.unwrap()
}

fn wrong(i: usize, rejected: Option<&str>) -> NewExample {
    let question = format!("What is the famous town of Land{i}?");
    NewExample::correction(&question, &format!("Wrong{i}"), rejected.map(String::from))
}

#[test]
fn own_lessons_are_believed_unless_most_overturn_what_the_model_is_sure_of() {
    block_on(async {
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        // Three of three are too few to tell; the same three with two more are not.
        learner.teach((0..3).map(|i| wrong(i, None)).collect()).await.unwrap();
        let report = learn(&mut learner, &mut student).await;
        assert_eq!((report.verdict, report.taught), (Verdict::Promote, 3), "{}", report.reason);
        assert!(report.notes.len() == 3 && report.notes[0].contains("sure of"), "{report:?}");
        learner.rollback(&mut student, Some("base")).await.unwrap();
        let mut more: Vec<NewExample> = (3..5).map(|i| wrong(i, None)).collect();
        // The user saw this one's answer and rejected it: that is no blind lesson.
        more.push(wrong(9, Some("It is surely land9town.")));
        learner.teach(more).await.unwrap();
        let report = learn(&mut learner, &mut student).await;
        assert_eq!((report.verdict, report.taught), (Verdict::Promote, 1), "{}", report.reason);
        assert_eq!(learner.quarantined().len(), 5);
        assert!(learner.quarantined()[0].1.reason.contains("sure of"));
        // Without the screen they are taught.
        let ids: Vec<String> = learner.quarantined().iter().map(|(e, _)| e.id.clone()).collect();
        for id in ids {
            learner.release(&id).await.unwrap();
        }
        assert_eq!(learn(&mut learner, &mut student).await.taught, 5);
    });
}

#[test]
fn the_same_from_a_file_waits_for_a_person() {
    block_on(async {
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        let from_file = |i| NewExample { source: "lessons.jsonl".into(), ..wrong(i, None) };
        let plain = NewExample {
            source: "lessons.jsonl".into(),
            ..NewExample::correction("What is the capital of Latveria?", "Doomstadt", None)
        };
        learner.teach(vec![from_file(1), plain]).await.unwrap();
        let report = learn(&mut learner, &mut student).await;
        assert_eq!((report.verdict, report.taught), (Verdict::Promote, 1), "{}", report.reason);
        assert!(report.notes.is_empty());
        let reason = &learner.quarantined()[0].1.reason;
        assert!(reason.starts_with("lessons.jsonl: ") && reason.contains("sure of"), "{reason}");
        // A person who vouches for a file is believed at once.
        let ids = [from_file(2).id()];
        assert!(matches!(learner.vouch(&ids).await, Err(LearnError::NoExample(_))));
        learner.teach(vec![from_file(2)]).await.unwrap();
        learner.vouch(&ids).await.unwrap();
        assert_eq!(learn(&mut learner, &mut student).await.taught, 1);
    });
}

#[test]
fn what_waits_can_be_screened_before_a_cycle() {
    block_on(async {
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        let from_file = |i| NewExample { source: "lessons.jsonl".into(), ..wrong(i, None) };
        learner.teach(vec![from_file(1), from_file(2), wrong(3, None)]).await.unwrap();
        let mut told = Vec::new();
        let found = learner.screen_pending(&mut student, &mut |event| told.push(event)).await;
        assert_eq!((found.unwrap().len(), told.len(), learner.quarantined().len()), (2, 2, 2));
        assert!(learner.head().is_none(), "nothing was trained");
        // What a person released is not looked at again.
        learner.release(&from_file(1).id()).await.unwrap();
        let again = learner.screen_pending(&mut student, &mut |_| {}).await.unwrap();
        assert_eq!((again.len(), learner.quarantined().len()), (0, 1));
        assert_eq!(learn(&mut learner, &mut student).await.taught, 2);
    });
}

#[test]
fn a_lesson_of_a_file_that_surprises_more_than_all_before_waits() {
    block_on(async {
        let plain = |country: usize, source: &str| NewExample {
            source: source.into(),
            ..NewExample::correction(
                &format!("What is the capital of Land{country}?"),
                &format!("Town{country}"),
                None,
            )
        };
        let strange = |source: &str| NewExample {
            source: source.into(),
            ..NewExample::correction("What is the capital of Latveria?", "astounding", None)
        };
        for (before, waits) in [(7, false), (8, true)] {
            let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
            learner.teach((0..before).map(|i| plain(i, "teach")).collect()).await.unwrap();
            learn(&mut learner, &mut student).await;
            let new = vec![plain(20, "found.jsonl"), strange("found.jsonl")];
            learner.teach(new).await.unwrap();
            learn(&mut learner, &mut student).await;
            let held = learner.quarantined();
            assert_eq!(held.len(), usize::from(waits), "after {before}: {held:?}");
            if waits {
                let reason = &held[0].1.reason;
                assert!(reason.contains("surprises the model more"), "{reason}");
            }
        }
        // A person may teach what surprises.
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        learner.teach((0..8).map(|i| plain(i, "teach")).collect()).await.unwrap();
        learner.teach(vec![strange("teach")]).await.unwrap();
        learn(&mut learner, &mut student).await;
        assert!(learner.quarantined().is_empty());
    });
}

#[test]
fn a_file_is_judged_by_its_other_lessons() {
    block_on(async {
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        let from = |source: &str, new| NewExample { source: source.into(), ..new };
        let plain = |country: &str| {
            NewExample::correction(&format!("What is the capital of {country}?"), "Klow", None)
        };
        let mut new: Vec<NewExample> = (0..3).map(|i| from("bad.jsonl", wrong(i, None))).collect();
        new.push(from("bad.jsonl", plain("Latveria")));
        // Two of two are too few, and a person's own lesson is none of the file's.
        new.extend((3..5).map(|i| from("other.jsonl", wrong(i, None))));
        new.push(from("other.jsonl", plain("Borduria")));
        new.push(plain("Elbonia"));
        learner.teach(new).await.unwrap();
        let report = learn(&mut learner, &mut student).await;
        assert_eq!((report.verdict, report.taught), (Verdict::Promote, 2), "{}", report.reason);
        let held = |learner: &Learner<MemoryStore>, id: &str| {
            let all = learner.quarantined();
            all.iter().find(|(e, _)| e.id == id).map(|(_, held)| held.reason.clone())
        };
        let id = from("bad.jsonl", plain("Latveria")).id();
        let reason = held(&learner, &id).expect("it waits with the others");
        assert_eq!(reason, "bad.jsonl: 3 of its 4 lessons were set aside, so the others wait");
        // Who releases one is believed about it; what the file brings later still waits.
        learner.release(&id).await.unwrap();
        let later = from("bad.jsonl", plain("Syldavia"));
        learner.teach(vec![later.clone()]).await.unwrap();
        assert_eq!(learn(&mut learner, &mut student).await.taught, 1);
        assert!(held(&learner, &later.id()).is_some_and(|reason| reason.contains("3 of its 5")));
    });
}

#[test]
fn lessons_that_contradict_each_other_are_not_both_trained() {
    block_on(async {
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        let capital = |question: &str, town: &str, source: &str| NewExample {
            source: source.into(),
            ..NewExample::correction(question, &format!("It is {town}."), None)
        };
        let plain = "What is the capital of Freedonia?";
        let other = "Which capital has Freedonia?";
        learner.teach(vec![capital(plain, "Fredville", "teach")]).await.unwrap();
        learn(&mut learner, &mut student).await;
        let (older, newer) =
            (learner.examples()[0].id.clone(), capital(other, "Marxburg", "teach"));
        // A file does not overturn what a person taught; a person does, and is asked about the rest by nothing.
        learner.teach(vec![capital(other, "Grouchoville", "a.jsonl")]).await.unwrap();
        let report = learn(&mut learner, &mut student).await;
        assert_eq!((report.verdict, report.taught), (Verdict::Hold, 0), "{}", report.reason);
        let found = learner.quarantined();
        let expected = format!("a.jsonl: asks the same as lesson {older}");
        assert!(found[0].1.reason.starts_with(&expected), "{found:?}");
        learner
            .teach(vec![newer, capital("How old is Freedonia?", "young", "teach")])
            .await
            .unwrap();
        let report = learn(&mut learner, &mut student).await;
        assert_eq!((report.verdict, report.taught), (Verdict::Promote, 2), "{}", report.reason);
        assert!(learner.quarantined().iter().any(|(example, _)| example.id == older));
    });
}

#[test]
fn two_questions_about_one_subject_do_not_contradict_each_other() {
    block_on(async {
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        let asked = ["Who rules Freedonia?", "Who painted Freedonia?"];
        let answers = ["It is Fredrik.", "It is Groucho."];
        let both = asked.iter().zip(answers);
        let lessons = both.map(|(asked, answer)| NewExample::correction(asked, answer, None));
        learner.teach(lessons.collect()).await.unwrap();
        let report = learn(&mut learner, &mut student).await;
        assert_eq!(report.taught, 2, "{}", report.reason);
        assert!(learner.quarantined().is_empty(), "{:?}", learner.quarantined());
    });
}
