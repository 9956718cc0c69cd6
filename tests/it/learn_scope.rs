//! Where the adapter answers and where the base model does: nearness of prompts, and cycles of the table student.

use crate::learn_fake::{Fake, open};
use crate::learn_recipe::brindle;
use apprentice::format::message::Message;
use apprentice::learn::example::{NewExample, documents};
use apprentice::learn::gate::{SuiteKind, Verdict};
use apprentice::learn::learner::Learner;
use apprentice::learn::recipe::rewordings::asks_the_same;
use apprentice::learn::report::{CycleReport, Event, LearnOptions};
use apprentice::learn::scope::{About, Scope};
use apprentice::learn::student::{AnswerOptions, Student};
use apprentice::learn::topic::Topic;
use apprentice::learn::vocabulary::Vocabulary;
use apprentice::store::memory::MemoryStore;
use pollster::block_on;
use std::fs;
use std::path::Path;

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
    // Two lessons on one subject are like each other only if they ask with words in common.
    let like = |asks: &str, name: &str| {
        let subject = format!("the {name} library");
        let wordings = [format!("Who {asks} {subject}?")];
        let rare = [name.to_lowercase()];
        let other = Topic::new(&[wordings[0].as_str()], &rare, &subject, &[]);
        topic.is_like(&other, &wordings[0])
    };
    assert!(like("maintains", "Brindle"));
    assert!(!like("wrote", "Brindle") && !like("maintains", "Brinkley"));
    // Names that begin alike are two.
    assert!(!topic.is_near("Who maintains the Brinkley library?"));
    let asks = |text: &str| vec![Message::user("Brindle?"), Message::user(text)];
    let scope = Scope::new([lesson.about()]);
    assert!(scope.covers(&asks("Who maintains Brindle?")) && !scope.covers(&asks("Hello!")));
    assert!(!scope.holds_everything() && Scope::everything().covers(&asks("Hello!")));
}

#[test]
fn lessons_without_a_subject_are_near_by_words_requests_and_texts() {
    let unnamed = |question: &str| Scope::new([About::question(question, None)]);
    let greeting = unnamed("How are you doing today?");
    assert!(greeting.is_near("how are you today?") && !greeting.is_near("What day is today?"));
    let note = unnamed("Write a note for me.\nTo: Tamsin");
    assert!(note.is_near("Please write a short note to Ludo.") && !note.is_near("Write a poem."));
    let code = "fn share_of(alloy: &Alloy, metal: &str) -> Share {\n    ledger.open(\"alloy\");";
    let scope = Scope::new([About::Text(Vocabulary::of(code))]);
    let same = "fn melts_at(alloy: &Alloy) -> Kelvin {\n    let share = ledger.open(\"alloy\");";
    assert!(scope.covers_text(same) && scope.is_near(&format!("Go on:\n{same}")));
    for other in
        ["The ledger lies open.", "", "fn main() { println!(\"Hello, all of the world\"); }"]
    {
        assert!(!scope.covers_text(other) && !scope.is_near(other), "{other}");
    }
    assert!(!note.covers_text("Write a note for me."), "a plain text requests nothing");
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
        // It wears out what nobody taught, which does not matter where the base answers.
        learner.teach(vec![fact("Borduria", "risky")]).await.unwrap();
        let report = learn(&mut learner, &mut student).await;
        for kind in [SuiteKind::Core, SuiteKind::Language, SuiteKind::Refusals] {
            let suite = report.suites[&kind];
            assert_eq!(suite.before, suite.after, "{kind:?}");
        }
        learner.teach(vec![fact("Freedonia", "Fredville")]).await.unwrap();
        learn(&mut learner, &mut student).await;
        assert!(learner.head().unwrap().scoped && !student.scope.holds_everything());
        assert!(ask(&mut student, "Name the capital of Freedonia.").await.contains("Fredville"));
        assert!(!ask(&mut student, "How old is Freedonia?").await.contains("Fredville"));
        // A document is near texts of its kind.
        let text = "The ferry to Syldavia leaves the harbour at noon.";
        learner.teach(documents(text, "notes.txt")).await.unwrap();
        learn(&mut learner, &mut student).await;
        assert!(learner.head().unwrap().scoped && student.scope.covers_text(text));
        assert!(!student.scope.covers_text("A neutral text, number 3."));
        // What was opened stays open.
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        let mut everywhere = LearnOptions::default();
        everywhere.recipe.scoped = false;
        learner.teach(vec![fact("Syldavia", "Klow")]).await.unwrap();
        learner.learn(&mut student, &everywhere, &mut |_| {}).await.unwrap();
        assert!(!learner.head().unwrap().scoped && student.scope.holds_everything());
        learner.teach(vec![fact("Latveria", "Doomstadt")]).await.unwrap();
        learn(&mut learner, &mut student).await;
        assert!(!learner.head().unwrap().scoped);
    });
}

#[test]
fn a_quick_look_takes_what_the_adapter_answers_first() {
    block_on(async {
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        let lesson = NewExample::correction("What colour has Thing7?", "Thing7 is right 7.", None);
        learner.teach(vec![lesson]).await.unwrap();
        let options = LearnOptions { sample: Some(3), ..LearnOptions::default() };
        let mut asked = Vec::new();
        let mut hear = |event| {
            if let Event::Suite { suite: SuiteKind::Core, scale, done, total } = event {
                asked.push((scale, done, total));
            }
        };
        learner.learn(&mut student, &options, &mut hear).await.unwrap();
        // Of three core questions the candidate answers one (Thing7); two are the base's and are known.
        let candidate: Vec<_> = asked.iter().filter(|(scale, ..)| *scale == 1.0).collect();
        assert_eq!(candidate, [&(1.0, 2, 3), &(1.0, 3, 3)], "{asked:?}");
    });
}

#[test]
fn what_cycles_cost_together_is_bounded() {
    block_on(async {
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        let mut options = LearnOptions::default();
        options.recipe.scoped = false;
        let mut ends = Vec::new();
        for (country, town) in
            [("Borduria", "Szohod"), ("Freedonia", "Fredville"), ("Syldavia", "Klow")]
        {
            // Each raises neutral text by 0.05 nats, where a cycle may raise it by 0.08.
            learner.teach(vec![fact(country, &format!("tiring {town}"))]).await.unwrap();
            let report = learner.learn(&mut student, &options, &mut |_| {}).await.unwrap();
            ends.push((report.verdict, report.scale, report.reason));
        }
        assert_eq!((ends[0].0, ends[0].1), (Verdict::Promote, 1.0), "{}", ends[0].2);
        assert_eq!((ends[1].0, ends[1].1), (Verdict::Promote, 0.5), "{}", ends[1].2);
        assert_eq!(ends[2].0, Verdict::Hold);
        assert!(ends[2].2.contains("since the base model, neutral text"), "{}", ends[2].2);
    });
}

#[test]
fn a_candidate_whose_manner_collapses_is_rejected() {
    block_on(async {
        for (manner, told) in [
            ("babbling", "everyday answers fell by 12 of 12"),
            ("rambling", "everyday answers fell by 12 of 12"),
            ("narrowing", "variety of everyday answers is worse by 1.000 nats a token"),
        ] {
            let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
            learner.teach(vec![fact("Borduria", manner)]).await.unwrap();
            let mut options = LearnOptions { scales: vec![1.0], ..LearnOptions::default() };
            options.recipe.scoped = false;
            let report = learner.learn(&mut student, &options, &mut |_| {}).await.unwrap();
            assert_eq!((report.verdict, report.version), (Verdict::Reject, None), "{manner}");
            assert!(report.reason.contains(told), "{}", report.reason);
        }
    });
}

/// A field of each line of a file of JSON lines below the repository.
fn field(path: &str, name: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let value = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    text.lines().map(|line| value(line)[name].as_str().unwrap().to_string()).collect()
}

/// The texts of a folder's files, in the order of their names.
fn files(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn code_and_notes_are_told_from_everything_else() {
    let passages = |text: &String| -> Vec<About> {
        text.split("\n\n\n").map(|part| About::Text(Vocabulary::of(part))).collect()
    };
    let code = files("bench/learning/data/code/learn");
    let notes = field("bench/learning/data/prose/learn.jsonl", "prompt");
    let notes = notes.iter().map(|prompt| About::question(prompt, None));
    let scope = Scope::new(code.iter().flat_map(passages).chain(notes));
    // Code of the same house and notes on other matters, never taught.
    let mut unseen = 0;
    for file in files("bench/learning/data/code/unseen") {
        let lines: Vec<&str> = file.lines().collect();
        for end in (8..lines.len()).step_by(8) {
            let before = lines[end.saturating_sub(24)..end].join("\n");
            assert!(scope.covers_text(&before), "{before}");
            unseen += 1;
        }
    }
    assert!(unseen > 30, "{unseen}");
    let near = |path, name| field(path, name).iter().filter(|text| scope.is_near(text)).count();
    assert_eq!(near("bench/learning/data/prose/unseen.jsonl", "prompt"), 20);
    assert_eq!(near("suites/core.jsonl", "question"), 0);
    assert_eq!(near("suites/refusals.jsonl", "prompt"), 0);
    assert_eq!(near("bench/learning/recall/kept.jsonl", "prompt"), 0);
    assert_eq!(near("bench/learning/data/facts.jsonl", "prompt"), 0);
    let language = field("suites/language.jsonl", "text");
    assert!(!language.iter().any(|text| scope.covers_text(text)));
}
