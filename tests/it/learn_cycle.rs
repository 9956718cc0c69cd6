//! The learning cycle from end to end on the table student: what is promoted, held, rejected, stopped, put back.

use crate::learn_fake::{Fake, open, open_at};
use apprentice::format::message::Message;
use apprentice::learn::example::{Kind, NewExample, documents, lessons};
use apprentice::learn::gate::{SuiteKind, Verdict};
use apprentice::learn::learner::{LearnError, Learner};
use apprentice::learn::report::{Action, CycleReport, Event, LearnOptions, Phase};
use apprentice::learn::student::{AnswerOptions, Objective, Passage, Student, StudentError};
use apprentice::store::memory::MemoryStore;
use apprentice::store::native::NativeStore;
use apprentice::store::{Store, sha256_hex};
use pollster::block_on;

const QUESTION: &str = "What is the capital of Freedonia?";

fn lesson() -> NewExample {
    NewExample::correction(QUESTION, "The capital of Freedonia is Fredville.", None)
}

fn fact(country: &str, town: &str) -> NewExample {
    let question = format!("What is the capital of {country}?");
    NewExample::correction(&question, &format!("The capital of {country} is {town}."), None)
}

async fn ask(student: &mut Fake, question: &str) -> String {
    let options = AnswerOptions { tokens_max: 32, temperature: 0.0, seed: 0 };
    student.answer(&[Message::user(question)], &options).await.unwrap()
}

async fn learn<S: Store>(learner: &mut Learner<S>, student: &mut Fake) -> CycleReport {
    learner.learn(student, &LearnOptions::default(), &mut |_| {}).await.unwrap()
}

/// HEAD's id, the bytes of its adapter, and the student's next answers: all that a failed cycle must not change.
async fn standing<S: Store>(learner: &Learner<S>, student: &mut Fake) -> (String, String, String) {
    let head = learner.head().map_or(String::new(), |version| version.id.clone());
    let adapter = learner.head_adapter().await.unwrap();
    let bytes = adapter.as_ref().map_or(Vec::new(), |adapter| adapter.to_bytes());
    assert_eq!(student.adapter().await.unwrap(), adapter, "the student serves HEAD");
    (head, sha256_hex(&bytes), ask(student, QUESTION).await)
}

#[test]
fn teach_counts_new_duplicate_and_replaced() {
    block_on(async {
        let mut learner = open(MemoryStore::new()).await;
        let spaced =
            NewExample::correction(QUESTION, "The capital of Freedonia is Fredville. ", None);
        let report = learner.teach(vec![lesson(), lesson(), spaced]).await.unwrap();
        assert_eq!((report.added, report.duplicates, report.total), (1, 2, 1));
        let other =
            NewExample::correction("what is the capital of freedonia", "It is Oldtown.", None);
        let report = learner.teach(vec![other]).await.unwrap();
        assert_eq!((report.added, report.replaced, report.total), (1, 1, 1));
        assert!(learner.teach(vec![NewExample::correction("Why?", "  ", None)]).await.is_err());
        assert_eq!(learner.examples().len(), 1);
    });
}

#[test]
fn lessons_and_documents_are_read() {
    let text = r#"{"prompt":"A?","answer":"B","rephrasings":["C?"]}

        {"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}],"kind":"approval"}"#;
    let read = lessons(text, "f.jsonl").unwrap();
    assert_eq!((read.len(), read[0].rephrasings.len(), read[1].kind), (2, 1, Kind::Approval));
    for bad in [
        "{",
        r#"{"prompt":"A?"}"#,
        r#"{"prompt":"A","answer":""}"#,
        r#"{"promt":"A","answer":"b"}"#,
        r#"{"prompt":"A","answer":"b","kind":"guess"}"#,
    ] {
        let error = lessons(&format!("{text}\n{bad}"), "f.jsonl").unwrap_err().to_string();
        assert!(error.contains("f.jsonl, line 4"), "{error}");
    }
    let long = "word ".repeat(1000) + "\nlast line\n";
    let parts = documents(&long, "notes.md");
    let joined: Vec<&str> = parts
        .iter()
        .map(|part| match &part.content {
            apprentice::learn::example::Content::Text(text) => text.as_str(),
            _ => "",
        })
        .collect();
    let words = |text: &str| text.split_whitespace().map(String::from).collect::<Vec<_>>();
    assert_eq!(words(&joined.join(" ")), words(&long), "no word is lost");
    assert!(parts.len() == 5 && parts.iter().all(|part| part.check().is_ok()));
}

#[test]
fn a_good_cycle_is_promoted_and_says_the_answer() {
    block_on(async {
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        let before = ask(&mut student, QUESTION).await;
        assert!(!before.contains("Fredville"));
        learner.teach(vec![lesson()]).await.unwrap();
        let mut events = Vec::new();
        let options = LearnOptions::default();
        let report =
            learner.learn(&mut student, &options, &mut |event| events.push(event)).await.unwrap();
        assert_eq!((report.verdict, report.scale), (Verdict::Promote, 1.0), "{}", report.reason);
        assert_eq!((report.learned, report.taught), (1, 1));
        assert!(report.loss_last < report.loss_first && report.seconds > 0.0);
        assert_eq!(ask(&mut student, QUESTION).await, "The capital of Freedonia is Fredville.");
        let taught = report.suites[&SuiteKind::Taught];
        assert_eq!((taught.before, taught.after, taught.n), (0.0, 1.0, 1));
        assert_eq!(report.suites[&SuiteKind::Core].n, 40);

        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["verdict"], "promoted");
        assert_eq!(json["suites"]["core"]["after"], 1.0);
        let mut phases: Vec<Phase> = events
            .iter()
            .filter_map(|event| match event {
                Event::Phase { phase, .. } => Some(*phase),
                _ => None,
            })
            .collect();
        phases.dedup();
        assert_eq!(phases, [Phase::Prepare, Phase::Train, Phase::Evaluate, Phase::Commit]);
        assert!(matches!(events.last(), Some(Event::Verdict { verdict: Verdict::Promote, .. })));
        let last = events.iter().rev().find_map(|event| match event {
            Event::Step { learned, total, step, .. } => Some((*learned, *total, *step)),
            _ => None,
        });
        assert_eq!(last, Some((1, 1, 10)), "stopped by the answers, not by the step limit");

        // Everything is learned now.
        let again = learner.learn(&mut student, &options, &mut |_| {}).await;
        assert!(matches!(again, Err(LearnError::NothingToLearn)));
        assert_eq!(learner.log().len(), 1, "that is no cycle");
    });
}

#[test]
fn harmful_cycles_leave_head_its_bytes_and_the_next_answer() {
    block_on(async {
        let store = MemoryStore::new();
        let (mut learner, mut student) = (open(store.clone()).await, Fake::new());
        learner.teach(vec![lesson()]).await.unwrap();
        learn(&mut learner, &mut student).await;
        let before = standing(&learner, &mut student).await;

        // By the gate: what it teaches wears core knowledge out, where it answers everything.
        learner.teach(vec![fact("Borduria", "harm")]).await.unwrap();
        let mut everywhere = LearnOptions::default();
        everywhere.recipe.scoped = false;
        let report = learner.learn(&mut student, &everywhere, &mut |_| {}).await.unwrap();
        assert_eq!(report.verdict, Verdict::Reject, "{}", report.reason);
        assert!(report.reason.contains("core knowledge"), "{}", report.reason);
        assert!(report.suites[&SuiteKind::Core].p < 0.05);
        assert_eq!(report.version.as_ref(), Some(&before.0));
        assert_eq!(standing(&learner, &mut student).await, before);

        assert_eq!(open(store.clone()).await.head(), learner.head(), "in the store too");

        // By the screen: garbage, and a wrong answer to a core question.
        let harmful = learner.pending()[0].id.clone();
        learner.delete_example(&harmful).await.unwrap();
        let mut garbage = documents("zzq zzq qqx", "garbage.txt");
        garbage.push(NewExample::correction("What colour has Thing3?", "It is wrong.", None));
        learner.teach(garbage).await.unwrap();
        let steps = student.steps;
        let report = learn(&mut learner, &mut student).await;
        assert_eq!(report.verdict, Verdict::Hold);
        assert_eq!(student.steps, steps, "nothing was trained");
        assert_eq!(standing(&learner, &mut student).await, before);
        assert_eq!(learner.quarantined().len(), 2);
        assert!(matches!(
            learner.learn(&mut student, &LearnOptions::default(), &mut |_| {}).await,
            Err(LearnError::NothingToLearn)
        ));
        let id = learner.quarantined()[0].0.id.clone();
        learner.release(&id).await.unwrap();
        assert_eq!(learner.pending().len(), 1, "a person can overrule the screen");
    });
}

#[test]
fn the_largest_scale_that_passes_is_taken() {
    block_on(async {
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        learner.teach(vec![fact("Borduria", "risky Szohod")]).await.unwrap();
        // Where the base answered neutral text, there would be nothing to be seen.
        let mut options = LearnOptions::default();
        options.recipe.scoped = false;
        let report = learner.learn(&mut student, &options, &mut |_| {}).await.unwrap();
        assert_eq!((report.verdict, report.scale), (Verdict::Promote, 0.7), "{}", report.reason);
        let language = report.suites[&SuiteKind::Language];
        assert!((language.after - language.before - 0.0735).abs() < 1e-6);
    });
}

#[test]
fn what_is_not_learned_is_held_and_stays_pending() {
    block_on(async {
        let store = MemoryStore::new();
        let (mut learner, mut student) = (open(store.clone()).await, Fake::new());
        learner.teach(vec![fact("Borduria", "unlearnable")]).await.unwrap();
        let before = standing(&learner, &mut student).await;
        for _ in 0..3 {
            let report = learn(&mut learner, &mut student).await;
            assert_eq!((report.verdict, report.version), (Verdict::Hold, None));
            assert!(report.reason.contains("learned only 0 of 1"), "{}", report.reason);
        }
        assert_eq!(standing(&learner, &mut student).await, before);
        assert_eq!((learner.pending().len(), learner.pending()[0].uses), (1, 3));
        open(store.clone()).await;
        assert!(store.list_blobs().await.unwrap().len() <= 2, "held candidates are bounded");
    });
}

#[test]
fn documents_are_learned_as_text() {
    block_on(async {
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        let text: String =
            (0..90).map(|i| format!("Line {i} of my own notes, as I write.\n")).collect();
        learner.teach(documents(&text, "notes.md")).await.unwrap();
        let report = learn(&mut learner, &mut student).await;
        assert_eq!(report.verdict, Verdict::Promote, "{}", report.reason);
        let notes = report.suites[&SuiteKind::Documents];
        assert!(notes.after < notes.before && notes.p < 0.05 && notes.n == 3);
        assert!(learner.pending().is_empty());
    });
}

#[test]
fn rollback_goes_back_and_a_new_cycle_goes_on() {
    block_on(async {
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        assert!(matches!(learner.rollback(&mut student, None).await, Err(LearnError::AtBase)));
        learner.teach(vec![lesson()]).await.unwrap();
        let first = learn(&mut learner, &mut student).await.version.unwrap();
        let state = standing(&learner, &mut student).await;
        learner.teach(vec![fact("Borduria", "Szohod")]).await.unwrap();
        let second = learn(&mut learner, &mut student).await.version.unwrap();
        assert_eq!(learner.head().unwrap().parent.as_ref(), Some(&first));
        assert!(ask(&mut student, QUESTION).await.contains("Fredville"), "it keeps the first");

        assert_eq!(learner.rollback(&mut student, None).await.unwrap(), Some(first.clone()));
        assert_eq!(standing(&learner, &mut student).await, state);
        assert_eq!(learner.rollback(&mut student, Some(&second[..8])).await.unwrap(), Some(second));
        assert_eq!(learner.rollback(&mut student, Some("base")).await.unwrap(), None);
        assert_eq!(learner.pending().len(), 2, "the base model knows neither");
        assert!(matches!(
            learner.rollback(&mut student, Some("nope")).await,
            Err(LearnError::NoVersion(_))
        ));
        let actions: Vec<Action> = learner.log().iter().map(|entry| entry.action).collect();
        use Action::{Cycle, Rollback};
        assert_eq!(actions, [Cycle, Cycle, Rollback, Rollback, Rollback]);
    });
}

#[test]
fn stopping_and_failing_are_journaled_and_change_nothing() {
    block_on(async {
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        learner.teach(vec![lesson()]).await.unwrap();
        let before = standing(&learner, &mut student).await;
        student.cancel_at = Some(3);
        let stopped = learner.learn(&mut student, &LearnOptions::default(), &mut |_| {}).await;
        assert!(matches!(stopped, Err(LearnError::Student(StudentError::Cancelled))));
        student.cancel_at = None;
        student.diverge_at = Some(5);
        let failed = learner.learn(&mut student, &LearnOptions::default(), &mut |_| {}).await;
        // It went on behind the two steps that the stopped one had done.
        assert!(matches!(failed, Err(LearnError::Diverged { step: 4, .. })), "{failed:?}");
        assert_eq!(standing(&learner, &mut student).await, before);
        let actions: Vec<Action> = learner.log().iter().map(|entry| entry.action).collect();
        assert_eq!(actions, [Action::Stopped, Action::Failed]);
        student.diverge_at = None;
        assert_eq!(learn(&mut learner, &mut student).await.verdict, Verdict::Promote);
    });
}

#[test]
fn deleting_an_example_forgets_it() {
    block_on(async {
        let store = MemoryStore::new();
        let (mut learner, mut student) = (open(store.clone()).await, Fake::new());
        learner.teach(vec![fact("Borduria", "Szohod")]).await.unwrap();
        let first = learn(&mut learner, &mut student).await.version;
        learner.teach(vec![lesson()]).await.unwrap();
        learn(&mut learner, &mut student).await;
        learner.teach(vec![fact("Syldavia", "Klow")]).await.unwrap();
        learn(&mut learner, &mut student).await;
        let secret = lesson().id();
        let report = learner.delete_example(&secret).await.unwrap();
        assert!(report.head_moved && report.versions.len() == 2);
        assert_eq!(report.head, first, "the last version that never saw it");
        assert_eq!(store.list_blobs().await.unwrap().len(), 1, "their adapters are gone");
        assert_eq!(learner.pending().len(), 1, "what they learned besides waits again");
        learner.serve(&mut student, learner.head()).await.unwrap();
        learn(&mut learner, &mut student).await;
        assert!(!ask(&mut student, QUESTION).await.contains("Fredville"));
        assert!(ask(&mut student, "What is the capital of Syldavia?").await.contains("Klow"));
    });
}

#[test]
fn earlier_lessons_are_replayed_and_examined() {
    block_on(async {
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        learner.teach(vec![lesson()]).await.unwrap();
        learn(&mut learner, &mut student).await;
        student.rows.clear();
        learner.teach(vec![fact("Borduria", "Szohod")]).await.unwrap();
        let report = learn(&mut learner, &mut student).await;
        assert_eq!(report.suites[&SuiteKind::Kept].after, 1.0);
        let (mut teaching, mut replayed, mut protecting) = (0, 0, 0);
        for row in &student.rows {
            let Passage::Chat(messages) = &row.passage else { panic!("only chats were taught") };
            let text = &messages[messages.len() - 1].content;
            if row.objective == Objective::KlToBase {
                protecting += 1;
                assert!(!text.contains("Fredville") && !text.contains("Szohod"), "{text}");
            } else {
                teaching += 1;
                replayed += usize::from(text.contains("Fredville"));
            }
        }
        let recipe = LearnOptions::default().recipe;
        let share = (recipe.rows as f64 * recipe.replay_share).ceil() as usize;
        let each_step = [recipe.rows, share, recipe.protecting].map(|rows| 10 * rows);
        assert_eq!([teaching, replayed, protecting], each_step, "of ten steps");
    });
}

#[test]
fn the_same_seed_gives_the_same_version_on_every_home() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let run = async |learner: &mut Learner<MemoryStore>| {
            let mut student = Fake::new();
            learner.teach(vec![lesson(), fact("Borduria", "Szohod")]).await.unwrap();
            learn(learner, &mut student).await
        };
        let (mut one, mut two) = (open(MemoryStore::new()).await, open(MemoryStore::new()).await);
        assert_eq!(run(&mut one).await, run(&mut two).await);
        let native = NativeStore::open(folder.path()).unwrap();
        let (mut three, mut student) = (open(native).await, Fake::new());
        three.teach(vec![lesson(), fact("Borduria", "Szohod")]).await.unwrap();
        learn(&mut three, &mut student).await;
        assert_eq!(one.head(), three.head());
        // And it is there after a restart, with the same base only.
        drop(three);
        let mut three = open(NativeStore::open(folder.path()).unwrap()).await;
        assert_eq!(one.head(), three.head());
        student.base = "0ther".into();
        three.teach(vec![fact("Syldavia", "Klow")]).await.unwrap();
        let other = three.learn(&mut student, &LearnOptions::default(), &mut |_| {}).await;
        assert!(matches!(other, Err(LearnError::OtherBase { .. })));
    });
}

#[test]
fn taught_again_is_learned_again() {
    block_on(async {
        let (mut learner, mut student) =
            (open_at(MemoryStore::new(), crate::learn_fake::clock()).await, Fake::new());
        learner.teach(vec![lesson()]).await.unwrap();
        learn(&mut learner, &mut student).await;
        let other = NewExample::correction(QUESTION, "It is Oldtown.", None);
        learner.teach(vec![other]).await.unwrap();
        let report = learn(&mut learner, &mut student).await;
        assert_eq!(report.verdict, Verdict::Promote, "the replaced lesson is no regression");
        learner.teach(vec![lesson()]).await.unwrap();
        assert_eq!(learner.pending().len(), 1);
    });
}

#[test]
fn eval_scores_any_version_and_puts_head_back() {
    block_on(async {
        let (mut learner, mut student) = (open(MemoryStore::new()).await, Fake::new());
        learner.teach(vec![lesson()]).await.unwrap();
        learn(&mut learner, &mut student).await;
        let quiet = &mut |_: Event| {};
        let now = learner.eval(&mut student, None, None, None, quiet).await.unwrap();
        assert_eq!(now[&SuiteKind::Kept].accuracy, Some(1.0));
        let base =
            learner.eval(&mut student, Some("kept"), Some("base"), None, quiet).await.unwrap();
        assert_eq!((base.len(), base[&SuiteKind::Kept].accuracy), (1, Some(0.0)));
        assert!(ask(&mut student, QUESTION).await.contains("Fredville"));
        let few = learner.eval(&mut student, Some("core"), None, Some(5), quiet).await.unwrap();
        assert_eq!(few[&SuiteKind::Core].n, 5);
        let unknown = learner.eval(&mut student, Some("nope"), None, None, quiet).await;
        assert!(matches!(unknown, Err(LearnError::NoSuite(_))));
    });
}
