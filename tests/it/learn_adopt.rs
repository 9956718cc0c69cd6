//! Skills on the table student: signed, imported, and taken in beside HEAD only if the gate agrees.
//!
//! Invariant: whatever comes from outside, HEAD and what the user taught stay until a promotion.

use crate::learn_fake::{Fake, open};
use crate::learn_history::{fact, learn};
use crate::learn_merge::says;
use apprentice::format::message::Message;
use apprentice::format::skill::Skill;
use apprentice::learn::exchange::Foreign;
use apprentice::learn::gate::Verdict;
use apprentice::learn::learner::{LearnError, Learner};
use apprentice::learn::report::{Action, CycleReport, LearnOptions};
use apprentice::learn::scope::Scope;
use apprentice::learn::student::Student;
use apprentice::model::adapter::Adapter;
use apprentice::store::memory::{Crash, MemoryStore};
use pollster::block_on;

const SECRET: [u8; 32] = [5; 32];

/// A skill of two facts (0 and 1), as it comes out of its author's home and through a file.
async fn skill(student: &mut Fake, with_lessons: bool) -> Foreign {
    let mut author = open(MemoryStore::new()).await;
    learn(&mut author, student, &[0, 1]).await;
    let skill = author.skill("HEAD", "towns", with_lessons).await.unwrap().unwrap();
    student.use_adapter(None, Scope::everything()).await.unwrap();
    let (read, signer) = Skill::read("towns.skill", &skill.sign(&SECRET)).unwrap();
    assert_eq!(read, skill);
    Foreign::from_skill(&read, &signer).unwrap()
}

async fn adopt(
    learner: &mut Learner<MemoryStore>,
    student: &mut Fake,
    id: &str,
) -> Result<CycleReport, LearnError> {
    learner.adopt(student, id, &LearnOptions::default(), &mut |_| {}).await
}

#[test]
fn a_skill_is_taken_in_beside_what_was_learned_here() {
    block_on(async {
        let (store, mut student) = (MemoryStore::new(), Fake::new());
        let foreign = skill(&mut student, true).await;
        let mut learner = open(store.clone()).await;
        let own = learn(&mut learner, &mut student, &[2]).await;
        let id = learner.import(&mut student, foreign).await.unwrap();
        assert_eq!(learner.head().unwrap().id, own, "HEAD stays");
        assert!(learner.pending().is_empty(), "its lessons are not the user's");
        assert_eq!(learner.quarantined().len(), 2);
        for moved in [
            learner.rollback(&mut student, Some(&id)).await,
            learner.checkout(&mut student, &id).await,
        ] {
            let told = moved.unwrap_err().to_string();
            assert!(told.contains("adopt") && told.contains("signed by"), "{told}");
        }

        let report = adopt(&mut learner, &mut student, &id).await.unwrap();
        assert_eq!(report.verdict, Verdict::Promote, "{}", report.reason);
        assert_eq!((report.taught, report.learned), (2, 2));
        let head = learner.head().unwrap().clone();
        assert_eq!((&head.parent, &head.merged), (&Some(own), &Some(id.clone())));
        assert!(head.scoped && head.origin.is_none());
        for number in 0..3 {
            assert!(says(&mut student, number).await, "fact {number}");
        }
        assert!(learner.quarantined().is_empty() && learner.pending().is_empty());
        let again = adopt(&mut learner, &mut student, &id).await.unwrap_err().to_string();
        assert!(again.contains("HEAD holds it already"), "{again}");

        let mut learner = open(store).await;
        assert_eq!(learner.head(), Some(&head));
        assert!(learner.quarantined().is_empty(), "what it says now is the user's");
        assert_eq!(learner.audit().await.unwrap().breaks, [] as [String; 0]);
        // It is learned from here on like everything else.
        learn(&mut learner, &mut student, &[3]).await;
        assert!(says(&mut student, 0).await && says(&mut student, 3).await);
        let own = learner.head().unwrap().id.clone();
        let refused = adopt(&mut learner, &mut student, &own).await.unwrap_err().to_string();
        assert!(refused.contains("does not come from outside"), "{refused}");
    });
}

#[test]
fn a_skill_may_be_the_first_that_is_learned() {
    block_on(async {
        let mut student = Fake::new();
        let foreign = skill(&mut student, true).await;
        let mut learner = open(MemoryStore::new()).await;
        let id = learner.import(&mut student, foreign).await.unwrap();
        let report = adopt(&mut learner, &mut student, &id[..8]).await.unwrap();
        assert_eq!(report.verdict, Verdict::Promote, "{}", report.reason);
        assert!(says(&mut student, 0).await && says(&mut student, 1).await);
    });
}

/// Without its lessons nobody can see what a skill knows, but what it costs.
#[test]
fn an_adapter_of_which_nothing_is_known_passes_if_it_costs_nothing() {
    block_on(async {
        let mut student = Fake::new();
        let foreign = skill(&mut student, false).await;
        assert!(foreign.lessons.is_empty() && !foreign.scoped);
        let mut harmful = foreign.adapter.clone();
        harmful.weights[4096] = 1.0; // the table's damage
        let mut learner = open(MemoryStore::new()).await;
        let own = learn(&mut learner, &mut student, &[2]).await;
        let good = learner.import(&mut student, foreign).await.unwrap();
        let bad = Foreign::bare(harmful, "a folder".into());
        let bad = learner.import(&mut student, bad).await.unwrap();
        let report = adopt(&mut learner, &mut student, &bad).await.unwrap();
        assert_eq!(report.verdict, Verdict::Reject, "{}", report.reason);
        assert!(report.reason.contains("core knowledge fell"), "{}", report.reason);
        assert_eq!(learner.head().unwrap().id, own);
        assert!(says(&mut student, 2).await && !says(&mut student, 0).await);
        let report = adopt(&mut learner, &mut student, &good).await.unwrap();
        assert_eq!(report.verdict, Verdict::Promote, "{}", report.reason);
        assert!(says(&mut student, 0).await && says(&mut student, 2).await);
    });
}

#[test]
fn an_adapter_that_wipes_out_what_was_learned_here_is_not_let_in() {
    block_on(async {
        let mut student = Fake::new();
        let mut learner = open(MemoryStore::new()).await;
        let own = learn(&mut learner, &mut student, &[2, 3, 4, 5]).await;
        let head = learner.head_adapter().await.unwrap().unwrap();
        let weights = head.weights.iter().map(|weight| -weight).collect();
        let foreign = Foreign::bare(Adapter { weights, ..head }, "a folder".into());
        let id = learner.import(&mut student, foreign).await.unwrap();
        let report = adopt(&mut learner, &mut student, &id).await.unwrap();
        assert_ne!(report.verdict, Verdict::Promote, "{}", report.reason);
        assert!(report.reason.contains("earlier lessons"), "{}", report.reason);
        assert_eq!(learner.head().unwrap().id, own);
        assert!(says(&mut student, 2).await);
        let line = learner.log().last().unwrap();
        assert_eq!(line.action, Action::Merge, "the refusal is in the journal");
    });
}

#[test]
fn what_the_user_taught_is_not_replaced_by_a_skills_lesson() {
    block_on(async {
        let mut student = Fake::new();
        let foreign = skill(&mut student, true).await;
        let mut learner = open(MemoryStore::new()).await;
        let mut own = fact(0);
        let question = own.content.question_answer().unwrap().0.to_string();
        own.content = apprentice::learn::example::Content::Chat(vec![
            Message::user(&question),
            Message::assistant("The capital is Elsewhere."),
        ]);
        let own_id = own.id();
        learner.teach(vec![own]).await.unwrap();
        let id = learner.import(&mut student, foreign.clone()).await.unwrap();
        let version = learner.versions().into_iter().find(|v| v.id == id).unwrap();
        assert_eq!(version.examples.len(), 1, "one of two lessons came along");
        let mine: Vec<_> = learner.examples().iter().map(|e| e.id.clone()).collect();
        assert!(mine.contains(&own_id) && mine.len() == 2);
        // A skill of another base model's, or with lessons without end, is refused before anything is kept.
        let many = vec![fact(9); 1001];
        let told = learner.import(&mut student, Foreign { lessons: many, ..foreign }).await;
        assert!(told.unwrap_err().to_string().contains("1001 lessons"));
        assert_eq!(learner.versions().len(), 1);
    });
}

#[test]
fn a_crash_while_a_skill_comes_in_leaves_all_as_before_or_as_after() {
    block_on(async {
        let mut student = Fake::new();
        let foreign = skill(&mut student, true).await;
        let origin = MemoryStore::new();
        let mut learner = open(origin.clone()).await;
        let own = learn(&mut learner, &mut student, &[2]).await;
        let whole = origin.fork();
        whole.plant(Crash { after: usize::MAX, torn: false });
        let mut learner = open(whole.clone()).await;
        let id = learner.import(&mut student, foreign.clone()).await.unwrap();
        adopt(&mut learner, &mut student, &id).await.unwrap();
        let mut seen = [0, 0];
        // The last one is not cut off: the promotion is the last write.
        for after in 0..=whole.writes() {
            for torn in [false, true] {
                let store = origin.fork();
                store.plant(Crash { after, torn });
                let mut learner = open(store.clone()).await;
                if let Ok(id) = learner.import(&mut student, foreign.clone()).await {
                    adopt(&mut learner, &mut student, &id).await.ok();
                }
                let learner = open(store.reopen()).await;
                assert_eq!(learner.warnings(), [] as [String; 0], "crash after {after}");
                assert_eq!(learner.audit().await.unwrap().breaks, [] as [String; 0]);
                assert!(learner.pending().is_empty(), "crash after {after}");
                let head = learner.head().unwrap();
                assert!(head.id == own || head.merged.is_some());
                let waits = learner.quarantined().len();
                assert!(head.merged.is_none() || waits == 0, "{waits} learned lessons wait");
                seen[usize::from(head.id != own)] += 1;
            }
        }
        assert!(seen[0] > 1 && seen[1] > 0, "{seen:?}");
    });
}
