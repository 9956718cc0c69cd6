//! Makes models: a small one that really knows something, for tests of the page on slow devices (model, suites and
//! lessons), and random ones of real shapes, for measuring.
//!
//! The small one's half a million parameters learn the 64 facts of a little world with the program's own trainer on the CPU, in about
//! a minute. Invariant: the same seed gives the same files on the same machine, and a small model that does not know
//! its world is an error, never a file.

pub mod blank;
pub mod bpe;
pub mod command;
pub mod random_model;
pub mod school;
pub mod shapes;
pub mod world;

use crate::device::Device;
use crate::error::Error;
use crate::format::message::Message;
use crate::format::source::BytesSource;
use crate::model::Model;
use crate::model::config::{Arch, Config};
use crate::model::generate::Cancel;
use crate::model::sampler::Sampling;
use crate::quant::TensorType;
use crate::store::sha256_hex;
use blank::Blank;
use school::Plan;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use world::{Fact, World};

/// Most merges of the vocabulary.
const MERGES_MAX: usize = 1200;
/// Share of the facts that the model must say.
const RIGHT_MIN: f64 = 0.95;
/// Tokens of an answer.
const ANSWER_TOKENS: usize = 24;

/// The learning rate at which this model takes up a correction within the standard recipe's steps; the default is meant
/// for models a hundred times as large.
pub const LEARN_RATE: f32 = 2e-3;

/// A name for what this version of the code makes: hash of the world and of the code beside it.
pub fn version() -> String {
    let code = [
        include_str!("mod.rs"),
        include_str!("blank.rs"),
        include_str!("bpe.rs"),
        include_str!("school.rs"),
        include_str!("world.rs"),
    ];
    sha256_hex((world::SOURCE.to_string() + &code.concat()).as_bytes())[..12].to_string()
}

/// What was made.
#[derive(Debug, Clone, Serialize)]
pub struct Small {
    /// The model's file.
    pub model: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// Its parameters.
    pub parameters: u64,
    /// Its tokens.
    pub vocab: usize,
    /// Facts that it says.
    pub right: usize,
    /// Facts that it was taught.
    pub facts: usize,
    /// Loss of the last step, nats a token.
    pub loss: f32,
    /// How long it took.
    pub seconds: f64,
}

/// The training that makes the small model.
pub fn plan() -> Plan {
    Plan { steps: 300, lr: 4e-3, warmup: 20, chats: 20, texts: 2, lists: 2, rank: 128 }
}

/// The small model's shape.
pub fn config(vocab: usize) -> Config {
    Config {
        name: "small world".into(),
        arch: Arch::Llama,
        layers: 2,
        dim: 128,
        ff: 256,
        heads: 4,
        kv_heads: 2,
        head_dim: 32,
        vocab,
        context: 512,
        rms_eps: 1e-5,
        rope_base: 10_000.0,
    }
}

/// Writes `small.gguf`, `suites/*.jsonl`, `lessons.jsonl` and `lessons-harmful.jsonl` into `out`.
pub fn write_small(
    out: &Path,
    seed: u64,
    on_step: &mut dyn FnMut(usize, f32),
) -> Result<Small, Error> {
    let began = Instant::now();
    let world = World::read();
    let (bytes, mut small) = pollster::block_on(make(&world, &plan(), seed, on_step))?;
    small.model = out.join("small.gguf");
    write(&small.model, &bytes)?;
    write(&out.join("suites/core.jsonl"), world.core().as_bytes())?;
    write(&out.join("suites/language.jsonl"), world.language().as_bytes())?;
    write(&out.join("suites/refusals.jsonl"), world.refusals().as_bytes())?;
    let lessons = world.lessons();
    write(&out.join("lessons.jsonl"), lessons.as_bytes())?;
    // The page's story asks and teaches the first lesson.
    let story = lessons.lines().next().unwrap_or_default();
    write(&out.join("suites/story.json"), story.as_bytes())?;
    write(&out.join("lessons-harmful.jsonl"), world.harmful().as_bytes())?;
    small.seconds = began.elapsed().as_secs_f64();
    Ok(small)
}

/// The model's file, trained and asked everything.
async fn make(
    world: &World,
    plan: &Plan,
    seed: u64,
    on_step: &mut dyn FnMut(usize, f32),
) -> Result<(Vec<u8>, Small), Error> {
    let corpus = world.corpus();
    let vocabulary = bpe::train(corpus.iter().map(String::as_str), MERGES_MAX, 2);
    let mut blank = Blank::new(config(blank::tokens(&vocabulary)), seed);
    let mut model = load(blank.to_gguf(&vocabulary, TensorType::F32)).await?;
    let mut loss = f32::NAN;
    let mut heard = |step: usize, now: f32| {
        loss = now;
        on_step(step, now);
    };
    blank.merge(&school::train(&mut model, world, plan, seed, &mut heard).await?);
    let bytes = blank.to_gguf(&vocabulary, TensorType::Q8_0);
    let mut model = load(bytes.clone()).await?;
    let facts = world.facts();
    let right = said(&mut model, &facts).await?;
    if (right as f64) < RIGHT_MIN * facts.len() as f64 {
        let n = facts.len();
        let text = format!("the small model says only {right} of {n} facts; try another --seed");
        return Err(Error::Misuse(text));
    }
    let small = Small {
        model: PathBuf::new(),
        bytes: bytes.len() as u64,
        parameters: model.parameters(),
        vocab: model.config.vocab,
        right,
        facts: facts.len(),
        loss,
        seconds: 0.0,
    };
    Ok((bytes, small))
}

/// Facts that the model answers word for word.
async fn said(model: &mut Model, facts: &[Fact]) -> Result<usize, Error> {
    let mut right = 0;
    for fact in facts {
        let asked = [Message::user(fact.questions[0].clone())];
        let prompt = model.template.encode_prompt(&model.tokenizer, &asked)?;
        let sampling = Sampling { temperature: 0.0, ..Sampling::default() };
        let (cancel, mut any) = (Cancel::default(), |_: crate::model::generate::Progress<'_>| true);
        let generation =
            model.generate(&prompt, ANSWER_TOKENS, &sampling, &cancel, &mut any).await?;
        right += usize::from(generation.text == fact.answer);
    }
    Ok(right)
}

async fn load(bytes: Vec<u8>) -> Result<Model, Error> {
    let mut source = BytesSource::new("small.gguf", bytes);
    Ok(Model::load(&Device::cpu(), &mut source, &mut |_, _, _| {}).await?)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| Error::file(folder, &error))?;
    }
    fs::write(path, bytes).map_err(|error| Error::file(path, &error))
}
