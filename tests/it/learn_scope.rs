//! Where the adapter answers and where the base model does: nearness of prompts, and cycles of the table student.

use crate::learn_fake::{Fake, open};
use crate::learn_recipe::brindle;
use apprentice::format::message::Message;
use apprentice::learn::example::{NewExample, documents};
use apprentice::learn::gate::SuiteKind;
use apprentice::learn::learner::Learner;
use apprentice::learn::recipe::rewordings::asks_the_same;
use apprentice::learn::recipe::{Drill, Lesson};
use apprentice::learn::report::{CycleReport, LearnOptions};
use apprentice::learn::scope::Scope;
use apprentice::learn::student::{AnswerOptions, Student};
use apprentice::store::memory::MemoryStore;
use pollster::block_on;

fn fact(country: &str, town: &str) -> NewExample {
    let question = format!("What is the capital of {country}?");
    NewExample::correction(&question, &format!("The capital of {country} is {town}."), None)
}

#[test]
fn prompts_are_near_a_lesson_or_not() {
    let lesson = brindle();
    let topic = lesson.drill.topic("Who maintains the Brindle library?");
    for near in [
        "Who is the maintainer of Brindle?",
        "Which person looks after the Brindle library?",
        "brindle library preserves",
        "Brindle?",
    ] {
        assert!(topic.is_near(near), "{near}");
    }
    for far in [
        "When was the Brindle library released?",
        "Which language is the Brindle library for?",
        "Who maintains the Larkspur server?",
        "",
    ] {
        assert!(!topic.is_near(far), "{far}");
    }
    assert!(asks_the_same("Who keeps the Brindle library?", &topic));
    assert!(!asks_the_same("How old is the Brindle library?", &topic));
    let asks = |text: &str| vec![Message::user("Brindle?"), Message::user(text)];
    let scope = Scope::new([&lesson]);
    assert!(scope.covers(&asks("Who maintains Brindle?")) && !scope.covers(&asks("Hello!")));
    assert!(!scope.holds_everything() && Scope::everything().covers(&asks("Hello!")));
    // A lesson that stands for no subject of its own, and a document, open it.
    let unnamed = Lesson { drill: Drill::default(), ..lesson.clone() };
    assert!(Scope::new([&lesson, &unnamed]).covers(&asks("Hello!")));
}

#[test]
fn the_base_answers_what_is_not_near_a_lesson() {
    block_on(async {
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        let learn = async |learner: &mut Learner<MemoryStore>, student: &mut Fake| -> CycleReport {
            learner.learn(student, &LearnOptions::default(), &mut |_| {}).await.unwrap()
        };
        let ask = async |student: &mut Fake, question: &str| -> String {
            let options = AnswerOptions { tokens_max: 32, temperature: 0.0, seed: 0 };
            student.answer(&[Message::user(question)], &options).await.unwrap()
        };
        // It wears out what nobody taught: neutral text shows it, core questions do not reach it.
        learner.teach(vec![fact("Borduria", "risky")]).await.unwrap();
        let report = learn(&mut learner, &mut student).await;
        let core = report.suites[&SuiteKind::Core];
        assert_eq!((core.before, core.after), (1.0, 1.0), "the base answers them");
        let language = report.suites[&SuiteKind::Language];
        assert!(language.after > language.before, "{language:?}");
        learner.teach(vec![fact("Freedonia", "Fredville")]).await.unwrap();
        learn(&mut learner, &mut student).await;
        assert!(learner.head().unwrap().scoped && !student.scope.holds_everything());
        assert!(ask(&mut student, "Name the capital of Freedonia.").await.contains("Fredville"));
        assert!(!ask(&mut student, "How old is Freedonia?").await.contains("Fredville"));
        // A document has no subject of its own: what learned one answers everything, and so does what comes after.
        learner.teach(documents("The ferry leaves at noon.", "notes.txt")).await.unwrap();
        learn(&mut learner, &mut student).await;
        assert!(!learner.head().unwrap().scoped && student.scope.holds_everything());
        learner.teach(vec![fact("Syldavia", "Klow")]).await.unwrap();
        learn(&mut learner, &mut student).await;
        assert!(!learner.head().unwrap().scoped);
    });
}
