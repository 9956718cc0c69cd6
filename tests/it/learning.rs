//! The whole loop on the real model, on the CPU device: a good cycle is promoted and changes the answer, a harmful
//! one moves nothing.
//!
//! Suites are sampled, so that a cycle takes minutes on two cores; everything else is the recipe that users run.

use crate::common::default_model;
use apprentice::device::Device;
use apprentice::format::message::Message;
use apprentice::format::source::FileSource;
use apprentice::learn::engine::Engine;
use apprentice::learn::example::{documents, lessons};
use apprentice::learn::gate::Verdict;
use apprentice::learn::learner::Learner;
use apprentice::learn::report::LearnOptions;
use apprentice::learn::student::{AnswerOptions, Student};
use apprentice::model::Model;
use apprentice::store::native::NativeStore;
use pollster::block_on;

const QUESTION: &str = "Who maintains the Brindle library?";
const NAME: &str = "Oona Faraday";

fn engine() -> Engine {
    let mut source = FileSource::open(&default_model()).unwrap();
    Engine::new(block_on(Model::load(&Device::cpu(), &mut source, &mut |_, _, _| {})).unwrap())
}

fn answer(engine: &mut Engine, question: &str) -> String {
    let options = AnswerOptions { tokens_max: 32, temperature: 0.0, seed: 0 };
    block_on(engine.answer(&[Message::user(question)], &options)).unwrap()
}

/// The bytes of HEAD's adapter, as the store holds them.
fn head_bytes(learner: &Learner<NativeStore>) -> Vec<u8> {
    block_on(learner.head_adapter()).unwrap().expect("HEAD has an adapter").to_bytes()
}

/// A quick cycle: a small sample of each suite, few neighbours.
fn quick() -> LearnOptions {
    LearnOptions { sample: Some(16), ..LearnOptions::quick() }
}

#[test]
fn a_correction_is_learned_and_garbage_is_not() {
    let home = tempfile::tempdir().unwrap();
    let store = NativeStore::open(home.path()).unwrap();
    let mut learner = block_on(Learner::open(store, Box::new(|| 0), 0)).unwrap();
    let mut engine = engine();
    let before = answer(&mut engine, QUESTION);
    assert!(!before.contains(NAME), "the model cannot know this: {before}");

    let lesson = format!(
        "{{\"prompt\":\"{QUESTION}\",\"answer\":\"The Brindle library is maintained by {NAME}.\"}}"
    );
    block_on(learner.teach(lessons(&lesson, "test").unwrap())).unwrap();
    let mut events = |event| println!("{event:?}");
    let report = block_on(learner.learn(&mut engine, &quick(), &mut events)).unwrap();
    assert_eq!(report.verdict, Verdict::Promote, "{report:?}");
    let after = answer(&mut engine, QUESTION);
    assert!(after.contains(NAME), "{after}");
    let head = report.version.clone().unwrap();
    let bytes = head_bytes(&learner);

    // Garbage is set aside before it can be trained on, and the cycle is held.
    let garbage = documents(include_str!("../../suites/garbage.txt"), "garbage.txt");
    block_on(learner.teach(garbage)).unwrap();
    let report = block_on(learner.learn(&mut engine, &quick(), &mut events)).unwrap();
    assert_ne!(report.verdict, Verdict::Promote, "{report:?}");
    assert_eq!(report.version.as_ref(), Some(&head));
    assert_eq!(learner.head().map(|version| &version.id), Some(&head));
    assert_eq!(answer(&mut engine, QUESTION), after);
    assert_eq!(head_bytes(&learner), bytes, "HEAD's adapter changed");

    // And back: the base model answers as it did.
    assert_eq!(block_on(learner.rollback(&mut engine, None)).unwrap(), None);
    assert_eq!(answer(&mut engine, QUESTION), before);
}
