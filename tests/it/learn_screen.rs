//! What is kept out of training before a step is made, and how a person overrules it.

use crate::learn_fake::{Fake, open};
use apprentice::learn::example::NewExample;
use apprentice::learn::gate::Verdict;
use apprentice::learn::learner::Learner;
use apprentice::learn::report::{CycleReport, LearnOptions};
use apprentice::store::memory::MemoryStore;
use pollster::block_on;

async fn learn(learner: &mut Learner<MemoryStore>, student: &mut Fake) -> CycleReport {
    learner.learn(student, &LearnOptions::default(), &mut |_| {}).await.unwrap()
}

#[test]
fn lessons_that_overturn_what_the_model_is_sure_of_are_set_aside_when_they_are_many() {
    block_on(async {
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        let wrong = |i: usize, rejected: Option<&str>| {
            let question = format!("What is the famous town of Land{i}?");
            NewExample::correction(&question, &format!("Wrong{i}"), rejected.map(String::from))
        };
        // Three of three are too few to tell; the same three with two more are not.
        learner.teach((0..3).map(|i| wrong(i, None)).collect()).await.unwrap();
        let report = learn(&mut learner, &mut student).await;
        assert_eq!((report.verdict, report.taught), (Verdict::Promote, 3), "{}", report.reason);
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
