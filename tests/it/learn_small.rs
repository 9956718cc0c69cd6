//! The whole loop on a small model that the tests make: it knows its world, learns corrections, and is protected.
//!
//! Everything runs on the CPU device in seconds, through the real engine. Invariant: the model's files are made once for
//! one version of the code that makes them, in `target/small-model/`, and are never half written.

use apprentice::cli::synth::world::World;
use apprentice::cli::synth::{self, Small};
use apprentice::device::Device;
use apprentice::format::message::Message;
use apprentice::format::source::FileSource;
use apprentice::learn::engine::Engine;
use apprentice::learn::example::{NewExample, lessons};
use apprentice::learn::gate::{SuiteKind, Verdict};
use apprentice::learn::learner::Learner;
use apprentice::learn::position::Pace;
use apprentice::learn::recipe::Recipe;
use apprentice::learn::report::{CycleReport, Event, LearnOptions};
use apprentice::learn::scope::{About, Scope};
use apprentice::learn::student::{AnswerOptions, Passage, Student};
use apprentice::learn::suite::Suites;
use apprentice::learn::vocabulary::Vocabulary;
use apprentice::model::Model;
use apprentice::model::adapter::Adapter;
use apprentice::store::memory::{Crash, MemoryStore};
use pollster::block_on;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Held while the files are made, so that tests of one run make them once.
static MAKING: Mutex<()> = Mutex::new(());

const GREEDY: AnswerOptions = AnswerOptions { tokens_max: 24, temperature: 0.0, seed: 0 };

/// The folder with the small model, made if this version of the code has not made it yet.
pub fn small_model() -> PathBuf {
    let _held = MAKING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/small-model");
    let made = folder.join(synth::version());
    if !made.join("small.gguf").exists() {
        let aside = folder.join(format!("{}.{}.tmp", synth::version(), std::process::id()));
        let small: Small = synth::write_small(&aside, 0, &mut |_, _| {}).unwrap();
        println!("{small:?}");
        fs::rename(&aside, &made).unwrap();
    }
    made
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// An engine over the small model, and a learner with its suites over a store.
struct School {
    engine: Engine,
    learner: Learner<MemoryStore>,
    store: MemoryStore,
    folder: PathBuf,
}

impl School {
    fn open() -> School {
        School::over(MemoryStore::new())
    }

    fn over(store: MemoryStore) -> School {
        let folder = small_model();
        let mut source = FileSource::open(&folder.join("small.gguf")).unwrap();
        let device = Device::cpu();
        let model = block_on(Model::load(&device, &mut source, &mut |_, _, _| {})).unwrap();
        let [core, language, refusals] = ["core", "language", "refusals"]
            .map(|name| read(&folder.join(format!("suites/{name}.jsonl"))));
        let suites = Suites::parse(&core, &language, &refusals).unwrap();
        let clock = Box::new(|| 1_700_000_000_000);
        let learner = block_on(Learner::open(store.clone(), clock, 0)).unwrap();
        School { engine: Engine::new(model), learner: learner.with_suites(suites), store, folder }
    }

    fn answer(&mut self, question: &str) -> String {
        block_on(self.engine.answer(&[Message::user(question)], &GREEDY)).unwrap()
    }

    /// The world's facts that the model does not say, as it answers them.
    fn unsaid(&mut self) -> Vec<(String, String)> {
        let facts = World::read().facts();
        let asked = facts.into_iter().map(|fact| {
            let answer = self.answer(&fact.questions[0]);
            (fact.questions[0].clone(), answer, fact.answer)
        });
        let wrong = asked.filter(|(_, answer, right)| answer != right);
        wrong.map(|(question, answer, _)| (question, answer)).collect()
    }

    /// Teaches lines of a file of the folder.
    fn teach(&mut self, file: &str, lines: usize) {
        let text = read(&self.folder.join(file));
        let text: Vec<&str> = text.lines().take(lines).collect();
        let new = lessons(&text.join("\n"), file).unwrap();
        assert_eq!(block_on(self.learner.teach(new)).unwrap().added, lines);
    }

    fn learn(&mut self, options: &LearnOptions) -> CycleReport {
        let report = block_on(self.learner.learn(&mut self.engine, options, &mut |_| {})).unwrap();
        println!("{:?} at {}: {}", report.verdict, report.scale, report.reason);
        report
    }
}

/// The standard recipe at the pace of a model of this size.
fn options() -> LearnOptions {
    let mut options = LearnOptions::default();
    options.recipe.lr = synth::LEARN_RATE;
    options
}

#[test]
fn the_small_model_knows_its_world() {
    let mut school = School::open();
    let unsaid = school.unsaid();
    assert!(unsaid.len() <= 3, "{unsaid:?}");
    let report = block_on(school.learner.eval(&mut school.engine, None, None, None, &mut |_| {}));
    let report = report.unwrap();
    println!("{report:?}");
    let accuracy = |kind| report[&kind].accuracy.unwrap();
    assert!(accuracy(SuiteKind::Core) >= 0.95, "core");
    assert!(accuracy(SuiteKind::Refusals) >= 0.9, "refusals");
    // 2.5 nats is about what a model that knows the sentences but no word order would need.
    assert!(report[&SuiteKind::Language].loss < 2.5, "language");
}

#[test]
fn corrections_are_learned_and_rolled_back() {
    let mut school = School::open();
    let question = "What is the capital of Tarn?";
    assert_eq!(school.answer(question), "The capital of Tarn is Juno.");
    let before = school.unsaid();
    school.teach("lessons.jsonl", 2);
    // A file's lessons against what the model is sure of wait for a person.
    assert_eq!(school.learn(&options()).verdict, Verdict::Hold);
    let held: Vec<String> =
        school.learner.quarantined().iter().map(|(example, _)| example.id.clone()).collect();
    assert_eq!(held.len(), 2);
    for id in held {
        block_on(school.learner.release(&id)).unwrap();
    }
    let report = school.learn(&options());
    assert_eq!(report.verdict, Verdict::Promote, "{}", report.reason);
    assert_eq!(report.learned, 2);
    assert_eq!(school.answer(question), "The capital of Tarn is Marn.");
    let taught = ["Tarn", "Galdor"].map(|name| format!("What is the capital of {name}?"));
    let lost = school.unsaid().into_iter().filter(|(question, _)| !taught.contains(question));
    let lost: Vec<_> = lost.collect();
    assert!(lost.len() <= before.len() + 2, "of 62 other facts: {lost:?}");
    block_on(school.learner.rollback(&mut school.engine, None)).unwrap();
    assert_eq!(school.answer(question), "The capital of Tarn is Juno.");
    assert_eq!(school.unsaid(), before);
}

/// A cycle of the real engine that is cut off in the middle of its training, at a write of the store: another process goes on.
#[test]
fn a_killed_cycle_goes_on_from_its_last_kept_step_bit_for_bit() {
    let taught = || {
        let mut school = School::open();
        let lesson = NewExample::correction(
            "What is the capital of Tarn?",
            "The capital of Tarn is Marn.",
            None,
        );
        block_on(school.learner.teach(vec![lesson])).unwrap();
        school
    };
    let options = LearnOptions { sample: Some(8), ..options() };
    let (mut whole, mut kept, mut steps) = (taught(), taught(), 0);
    let events = &mut |event: Event| steps += usize::from(matches!(event, Event::Step { .. }));
    let report = block_on(whole.learner.learn(&mut whole.engine, &options, events)).unwrap();
    assert_eq!(report.verdict, Verdict::Promote, "{}", report.reason);
    assert!(steps > 8, "{steps} steps are a run");
    let wanted = whole.learner.head().unwrap().adapter.clone();
    // The process dies in the first write behind the sixth step that is kept.
    let store = kept.store.clone();
    kept.learner = kept.learner.with_checkpoints(Pace::EveryStep);
    let mut last = 0;
    let events = &mut |event: Event| {
        if let Event::Kept { step } = event {
            last = step;
            if step == 6 {
                store.plant(Crash { after: 1, torn: true });
            }
        }
    };
    block_on(kept.learner.learn(&mut kept.engine, &options, events)).unwrap_err();
    assert_eq!(last, 6);
    let mut other = School::over(kept.store.reopen());
    assert_eq!(other.learner.interrupted().map(|cut| cut.step), Some(6));
    let (mut resumed, mut taken) = (0, 0);
    let events = &mut |event: Event| match event {
        Event::Resumed { step, .. } => resumed = step,
        Event::Step { .. } => taken += 1,
        _ => {}
    };
    block_on(other.learner.learn(&mut other.engine, &options, events)).unwrap();
    assert_eq!((resumed, taken), (6, steps - 6));
    assert_eq!(other.learner.head().unwrap().adapter, wanted);
}

#[test]
fn what_contradicts_core_knowledge_is_set_aside() {
    let mut school = School::open();
    let before = school.unsaid();
    school.teach("lessons-harmful.jsonl", 12);
    let report = school.learn(&options());
    assert_eq!(report.verdict, Verdict::Hold, "{}", report.reason);
    assert_eq!(school.learner.quarantined().len(), 12);
    assert!(school.learner.head().is_none());
    assert_eq!(school.unsaid(), before);
}

/// Teaches wrong answers to 24 core questions past the screen; nothing may change for who asks.
fn harm(options: LearnOptions) -> CycleReport {
    let mut school = School::open();
    let before = school.unsaid();
    school.teach("lessons-harmful.jsonl", 24);
    let report = school.learn(&LearnOptions { screen: false, ..options });
    assert!(school.learner.head().is_none());
    assert_eq!(school.unsaid(), before, "HEAD answers as before");
    report
}

#[test]
fn harm_that_passes_the_screen_is_not_promoted() {
    assert_ne!(harm(options()).verdict, Verdict::Promote);
}

#[test]
fn harm_without_the_recipes_protection_is_rejected() {
    let mut options = options();
    options.recipe = Recipe { kl_weight: 0.0, lr: 2.0 * synth::LEARN_RATE, ..options.recipe };
    let report = harm(options);
    assert_eq!(report.verdict, Verdict::Reject, "{}", report.reason);
    let core = report.suites[&SuiteKind::Core];
    assert!(core.after < core.before - 0.1, "the training did harm: {core:?}");
}

#[test]
fn plain_texts_outside_the_scope_are_the_bases() {
    let mut school = School::open();
    school.teach("lessons.jsonl", 2);
    let ids: Vec<String> = school.learner.examples().iter().map(|e| e.id.clone()).collect();
    block_on(school.learner.vouch(&ids)).unwrap();
    assert_eq!(school.learn(&options()).verdict, Verdict::Promote);
    let adapter = block_on(school.learner.head_adapter()).unwrap();
    let text = "The fox sleeps under the old tree. The river is cold.";
    let learned = Scope::new([About::Text(Vocabulary::of(text))]);
    let other = Scope::new([About::Text(Vocabulary::of("gold silver copper iron bronze"))]);
    let mut measure = |adapter: Option<&Adapter>, scope: &Scope| {
        block_on(school.engine.use_adapter(adapter, scope.clone())).unwrap();
        let passage = [Passage::Text(text.into())];
        let scored = block_on(school.engine.score_passages(&passage)).unwrap();
        let asked = [(text.to_string(), GREEDY)];
        let written = block_on(school.engine.go_on(&asked, |_| false)).unwrap();
        (scored[0].log_prob, written)
    };
    let base = measure(None, &Scope::everything());
    let everywhere = measure(adapter.as_ref(), &Scope::everything());
    assert_ne!(base.0, everywhere.0);
    assert_eq!(measure(adapter.as_ref(), &learned), everywhere);
    assert_eq!(measure(adapter.as_ref(), &other), base);
}

#[test]
fn an_answer_that_is_cut_off_has_not_ended() {
    let mut school = School::open();
    let question = vec![Message::user(&World::read().facts()[0].questions[0])];
    let asked = |tokens_max| (question.clone(), AnswerOptions { tokens_max, ..GREEDY });
    let replies = block_on(school.engine.replies(&[asked(24), asked(2)])).unwrap();
    assert_eq!(replies.iter().map(|reply| reply.ended).collect::<Vec<_>>(), [true, false]);
    assert!(replies[0].text.len() > replies[1].text.len(), "{replies:?}");
}
