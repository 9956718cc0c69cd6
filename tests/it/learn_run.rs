//! When a training run stops, by what its lessons are measured, and what a rollback that cannot be written leaves in place.

use crate::learn_fake::{Fake, open};
use apprentice::format::message::Message;
use apprentice::learn::evaluate::{Wanted, said};
use apprentice::learn::example::NewExample;
use apprentice::learn::gate::{SuiteKind, Verdict};
use apprentice::learn::report::{Event, LearnOptions};
use apprentice::learn::student::{AnswerOptions, Student};
use apprentice::store::memory::{Crash, MemoryStore};
use pollster::block_on;

const QUESTION: &str = "What is the capital of Freedonia?";

fn lesson() -> NewExample {
    NewExample::correction(QUESTION, "The capital of Freedonia is Fredville.", None)
}

/// Steps of a run with so many wordings kept from training.
async fn steps(by_heart: bool, reserved: usize) -> usize {
    let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
    student.by_heart = by_heart;
    learner.teach(vec![lesson()]).await.unwrap();
    let mut options = LearnOptions { steps_max: Some(25), ..LearnOptions::default() };
    options.recipe.reserved = reserved;
    let mut steps = 0;
    let mut count = |event| steps += usize::from(matches!(event, Event::Step { .. }));
    learner.learn(&mut student, &options, &mut count).await.unwrap();
    steps
}

#[test]
fn a_run_goes_on_while_other_wordings_are_not_understood() {
    block_on(async {
        assert_eq!(steps(false, 2).await, 10, "two looks find everything said and understood");
        assert_eq!(steps(true, 2).await, 25, "what is said by heart is not understood");
        assert_eq!(steps(true, 0).await, 10, "nothing to look by");
    });
}

#[test]
fn what_an_earlier_cycle_lost_is_drilled_again() {
    block_on(async {
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        let mut options = LearnOptions { mending: 1, ..LearnOptions::default() };
        options.recipe.replay_share = 0.0;
        let mut said = Vec::new();
        for (country, town) in
            [("Freedonia", "Fredville"), ("Borduria", "confusing Szohod"), ("Syldavia", "Klow")]
        {
            let question = format!("What is the capital of {country}?");
            let answer = format!("The capital of {country} is {town}.");
            learner.teach(vec![NewExample::correction(&question, &answer, None)]).await.unwrap();
            learner.learn(&mut student, &options, &mut |_| {}).await.unwrap();
            let asked = AnswerOptions { tokens_max: 32, temperature: 0.0, seed: 0 };
            said.push(student.answer(&[Message::user(QUESTION)], &asked).await.unwrap());
        }
        let said: Vec<bool> = said.iter().map(|answer| answer.contains("Fredville")).collect();
        // One lost lesson is within the gate's margin; the next cycle finds it and mends it.
        assert_eq!(said, [true, false, true]);
        let freedonia = learner.examples()[0].id.clone();
        let head = learner.head().unwrap();
        assert!(head.examples.contains(&freedonia) && !head.learned.contains(&freedonia));
    });
}

#[test]
fn what_a_run_costs_is_mended_before_the_examination() {
    block_on(async {
        for (mending, kept) in [(0, false), (2, true)] {
            let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
            let mut options = LearnOptions { mending, ..LearnOptions::default() };
            options.recipe.replay_share = 0.0;
            let jarring = NewExample::correction(
                "What is the capital of Borduria?",
                "The capital of Borduria is jarring Szohod.",
                None,
            );
            for lesson in [lesson(), jarring] {
                learner.teach(vec![lesson]).await.unwrap();
                learner.learn(&mut student, &options, &mut |_| {}).await.unwrap();
            }
            let asked = AnswerOptions { tokens_max: 32, temperature: 0.0, seed: 0 };
            let said = student.answer(&[Message::user(QUESTION)], &asked).await.unwrap();
            assert_eq!(said.contains("Fredville"), kept, "{mending} rounds: {said}");
            let head = learner.head().unwrap();
            assert_eq!(
                head.examples.len(),
                if mending > 0 { 2 } else { 1 },
                "both were trained on"
            );
        }
    });
}

#[test]
fn an_answer_that_repeats_itself_says_nothing() {
    block_on(async {
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        learner.teach(vec![lesson()]).await.unwrap();
        learner.learn(&mut student, &LearnOptions::default(), &mut |_| {}).await.unwrap();
        let wanted = [Wanted::of(learner.examples()[0])];
        assert_eq!(said(&mut student, &wanted).await.unwrap(), [Some(true)]);
        student.stammers = true;
        assert_eq!(said(&mut student, &wanted).await.unwrap(), [Some(false)]);
    });
}

#[test]
fn a_rollback_that_cannot_be_written_changes_nothing() {
    block_on(async {
        let store = MemoryStore::new();
        let (mut learner, mut student) = (open(store.clone()).await, Fake::new());
        learner.teach(vec![lesson()]).await.unwrap();
        learner.learn(&mut student, &LearnOptions::default(), &mut |_| {}).await.unwrap();
        let head = learner.head().cloned();
        store.plant(Crash { after: 0, torn: false });
        assert!(learner.rollback(&mut student, None).await.is_err());
        assert!(head.is_some() && learner.head() == head.as_ref());
        let options = AnswerOptions { tokens_max: 32, temperature: 0.0, seed: 0 };
        let answer = student.answer(&[Message::user(QUESTION)], &options).await.unwrap();
        assert_eq!(answer, "The capital of Freedonia is Fredville.", "HEAD is still in place");
    });
}

#[test]
fn a_long_answer_is_examined_by_its_loss() {
    block_on(async {
        for (words, suite, kept) in [
            (16, SuiteKind::Taught, SuiteKind::Kept),
            (17, SuiteKind::Documents, SuiteKind::KeptDocuments),
        ] {
            let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
            let answer = vec!["ahoy"; words].join(", ");
            let long = NewExample::correction("What is the note to Ludo?", &answer, None);
            let next = NewExample::correction("What is the capital of Borduria?", "Szohod", None);
            let mut seen = Vec::new();
            for new in [long, next] {
                learner.teach(vec![new]).await.unwrap();
                let options = LearnOptions::default();
                let report = learner.learn(&mut student, &options, &mut |_| {}).await.unwrap();
                assert_eq!(report.verdict, Verdict::Promote, "{}", report.reason);
                seen.push(report.suites);
            }
            let user = [SuiteKind::Taught, SuiteKind::Documents];
            let asked: Vec<_> =
                user.into_iter().filter(|kind| seen[0].contains_key(kind)).collect();
            assert_eq!(asked, [suite], "{words} words");
            assert!(seen[1].contains_key(&kept), "{words} words");
        }
    });
}
