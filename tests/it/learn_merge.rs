//! Merging on the table student: HEAD takes in another branch's lessons, through the gate, or stays as it was.

use crate::learn_fake::{Fake, open};
use crate::learn_history::{fact, learn};
use apprentice::format::message::Message;
use apprentice::learn::gate::Verdict;
use apprentice::learn::learner::{LearnError, Learner};
use apprentice::learn::report::{Action, LearnOptions};
use apprentice::learn::student::{AnswerOptions, Student};
use apprentice::model::ties::Merging;
use apprentice::store::memory::{Crash, MemoryStore};
use pollster::block_on;

/// Two branches with a common ancestor, each with a lesson of its own (`two` learned 1, `one` learned 2); HEAD is on `one`.
async fn branched(store: MemoryStore, student: &mut Fake) -> Learner<MemoryStore> {
    let mut learner = open(store).await;
    learn(&mut learner, student, &[0]).await;
    learner.branch("one", None).await.unwrap();
    learner.branch("two", None).await.unwrap();
    learner.checkout(student, "one").await.unwrap();
    learn(&mut learner, student, &[2]).await;
    learner.checkout(student, "two").await.unwrap();
    learner.teach(vec![fact(1)]).await.unwrap();
    // The other branch's lesson waits here, and is older: it is learned first, so it is taken as one of both.
    learner.learn(student, &LearnOptions::default(), &mut |_| {}).await.unwrap();
    learner.checkout(student, "one").await.unwrap();
    learner
}

/// Whether the student says a fact as it was taught.
pub async fn says(student: &mut Fake, number: usize) -> bool {
    let content = fact(number).content;
    let (question, taught) = content.question_answer().unwrap();
    let options = AnswerOptions { tokens_max: 32, temperature: 0.0, seed: 0 };
    student.answer(&[Message::user(question)], &options).await.unwrap() == taught
}

#[test]
fn head_takes_in_the_other_branchs_lessons() {
    block_on(async {
        let (store, mut student) = (MemoryStore::new(), Fake::new());
        let mut learner = branched(store.clone(), &mut student).await;
        let (head, two) = (learner.head().unwrap().clone(), learner.resolve("two").unwrap());
        assert!(says(&mut student, 2).await && !says(&mut student, 1).await);
        assert_eq!(learner.pending().len(), 1);
        let options = LearnOptions::default();
        let sides = ("two", Merging::Ties);
        let report = learner.merge(&mut student, sides, &options, &mut |_| {}).await.unwrap();
        assert_eq!(report.verdict, Verdict::Promote, "{}", report.reason);
        assert_eq!((report.taught, report.learned), (1, 1));
        let merged = learner.head().unwrap().clone();
        assert_eq!((&merged.parent, &merged.merged), (&Some(head.id), &two));
        assert_eq!(merged.depth, 3);
        for number in 0..3 {
            assert!(says(&mut student, number).await, "fact {number}");
        }
        assert!(learner.pending().is_empty(), "all is learned");
        assert_eq!(learner.resolve("one").unwrap(), Some(merged.id.clone()), "the branch went on");
        let line = learner.log().last().unwrap();
        assert_eq!((line.action, line.adapter.as_ref()), (Action::Merge, Some(&merged.adapter)));
        // It is durable, and there is nothing more to merge.
        let mut learner = open(store).await;
        assert_eq!(learner.head(), Some(&merged));
        let again = learner.merge(&mut student, sides, &options, &mut |_| {}).await;
        assert!(matches!(again, Err(LearnError::Unmergeable(_))), "{again:?}");
        // What comes after learns from both.
        learn(&mut learner, &mut student, &[3]).await;
        assert!(says(&mut student, 1).await && says(&mut student, 3).await);
    });
}

#[test]
fn what_cannot_be_merged_is_told_and_changes_nothing() {
    block_on(async {
        let mut student = Fake::new();
        let mut learner = open(MemoryStore::new()).await;
        let options = LearnOptions::default();
        let one = learn(&mut learner, &mut student, &[0]).await;
        learner.branch("tip", None).await.unwrap();
        learn(&mut learner, &mut student, &[1]).await;
        learner.rollback(&mut student, Some("base")).await.unwrap();
        let mut refused = async |learner: &mut Learner<MemoryStore>, other: &str| {
            let before = learner.head().cloned();
            let sides = (other, Merging::Mean);
            let told = learner.merge(&mut student, sides, &options, &mut |_| {}).await;
            assert_eq!(learner.head().cloned(), before);
            told.unwrap_err().to_string()
        };
        assert!(refused(&mut learner, &one).await.contains("base model"));
        let mut fresh = Fake::new();
        learn(&mut learner, &mut fresh, &[2]).await;
        assert!(refused(&mut learner, &one).await.contains("no common ancestor"));
        learner.rollback(&mut fresh, Some(&one)).await.unwrap();
        assert!(refused(&mut learner, "tip").await.contains("holds all of it already"));
        let later =
            learner.versions().iter().find(|v| v.parent.as_ref() == Some(&one)).unwrap().id.clone();
        assert!(refused(&mut learner, &later).await.contains("check it out"));
    });
}

#[test]
fn a_crash_in_a_merge_leaves_head_as_before_or_as_after() {
    block_on(async {
        let origin = MemoryStore::new();
        let mut student = Fake::new();
        let learner = branched(origin.clone(), &mut student).await;
        let before = learner.head().unwrap().id.clone();
        let options = LearnOptions::default();
        let sides = ("two", Merging::Ties);
        let whole = origin.fork();
        whole.plant(Crash { after: usize::MAX, torn: false });
        let mut learner = open(whole.clone()).await;
        learner.merge(&mut student, sides, &options, &mut |_| {}).await.unwrap();
        let mut seen = [0, 0];
        for after in 0..whole.writes() {
            for torn in [false, true] {
                let store = origin.fork();
                store.plant(Crash { after, torn });
                let mut learner = open(store.clone()).await;
                learner.merge(&mut student, sides, &options, &mut |_| {}).await.ok();
                let learner = open(store.reopen()).await;
                assert_eq!(learner.warnings(), [] as [String; 0], "crash after {after}");
                assert_eq!(learner.audit().await.unwrap().breaks, [] as [String; 0]);
                let head = learner.head().unwrap();
                assert!(head.id == before || head.merged.is_some());
                seen[usize::from(head.id != before)] += 1;
            }
        }
        assert!(seen[0] > 1, "{seen:?}");
    });
}
