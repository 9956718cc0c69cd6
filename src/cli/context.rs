//! From arguments to things: the device, the model in its place, the home folder.
//!
//! It decides only where files lie. Invariant: what cannot be found is said with the argument that names it.

use super::{Common, output};
use crate::device::Device;
use crate::error::Error;
use crate::format::source::FileSource;
use crate::learn::engine::Engine;
use crate::learn::learner::{Clock, Learner};
use crate::learn::suite::Suites;
use crate::model::{CONTEXT, Model};
use crate::store::native::NativeStore;
use directories::ProjectDirs;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The default model's file name in the cache folder.
pub const DEFAULT_MODEL: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

fn folders() -> Result<ProjectDirs, Error> {
    ProjectDirs::from("", "", "apprentice").ok_or_else(|| {
        Error::Misuse("this user has no home folder; give --home and --model".into())
    })
}

/// The model's path: `--model`, else the default one in the cache folder.
pub fn model_path(common: &Common) -> Result<PathBuf, Error> {
    if let Some(path) = &common.model {
        return Ok(path.clone());
    }
    let path = folders()?.cache_dir().join(DEFAULT_MODEL);
    if !path.exists() {
        let text =
            "the default model is not here yet; run `cargo xtask model`, or give --model FILE";
        return Err(Error::Misuse(text.into()));
    }
    Ok(path)
}

/// The home folder, made if it is missing.
pub fn home(common: &Common) -> Result<PathBuf, Error> {
    let home = match &common.home {
        Some(home) => home.clone(),
        None => folders()?.data_dir().to_path_buf(),
    };
    fs::create_dir_all(&home).map_err(|error| Error::file(&home, &error))?;
    Ok(home)
}

/// The store in the home folder.
pub fn store(common: &Common) -> Result<NativeStore, Error> {
    Ok(NativeStore::open(&home(common)?)?)
}

/// The learner over the home folder; what a person should know of the home is said.
pub async fn learner(common: &Common) -> Result<Learner<NativeStore>, Error> {
    let learner = Learner::open(store(common)?, clock(), common.seed).await?;
    for warning in learner.warnings() {
        eprintln!("warning: {warning}");
    }
    Ok(learner)
}

/// The same, with other suites where a folder is given.
pub async fn examiner(
    common: &Common,
    folder: Option<&Path>,
) -> Result<Learner<NativeStore>, Error> {
    let learner = learner(common).await?;
    match folder {
        Some(folder) => Ok(learner.with_suites(suites(folder)?)),
        None => Ok(learner),
    }
}

/// The suites of a folder: core.jsonl, language.jsonl and refusals.jsonl.
pub fn suites(folder: &Path) -> Result<Suites, Error> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).map_err(|error| Error::file(&path, &error))
    };
    let parsed =
        Suites::parse(&read("core.jsonl")?, &read("language.jsonl")?, &read("refusals.jsonl")?);
    parsed.map_err(|error| Error::Misuse(error.to_string()))
}

/// The wall clock, milliseconds since 1970.
pub fn clock() -> Clock {
    Box::new(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        // A clock before 1970 is broken; zero keeps the order of what is written after it.
        now.map_or(0, |time| time.as_millis() as u64)
    })
}

/// Bytes as people write them: `800M`, `1.5G`, `123456`.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no number of bytes; write for example 800M or 6G");
    let (number, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1u64 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let bytes = number.parse::<f64>().map_err(|_| wrong())? * unit as f64;
    if bytes.is_finite() && bytes >= 1.0 { Ok(bytes as u64) } else { Err(wrong()) }
}

/// A template's argument as people write it: `enable_thinking=false`.
pub fn parse_argument(text: &str) -> Result<(String, serde_json::Value), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            // What is no JSON is a text: nobody quotes a word twice.
            let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
            Ok((name.to_string(), value))
        }
        _ => Err(format!("`{text}` is not NAME=VALUE")),
    }
}

/// The chosen device, with the limit that the user set.
pub async fn device(common: &Common) -> Result<Device, Error> {
    let device = Device::open(common.device).await?;
    if let Some(bytes) = common.memory_limit {
        device.limit_memory(bytes);
    }
    Ok(device)
}

/// Loads the model on the chosen device.
pub async fn engine(common: &Common) -> Result<Engine, Error> {
    engine_for(common, CONTEXT).await
}

/// The same for conversations of at most `context` tokens.
pub async fn engine_for(common: &Common, context: usize) -> Result<Engine, Error> {
    let path = model_path(common)?;
    let mut source = FileSource::open(&path)?;
    let device = device(common).await?;
    let bar = output::byte_bar("loading");
    let mut on_progress = |phase: &'static str, done: u64, total: u64| {
        bar.set_length(total);
        bar.set_message(phase);
        bar.set_position(done);
    };
    let mut model = Model::load_for(&device, &mut source, context, &mut on_progress).await?;
    for (name, value) in &common.template_args {
        model.template.set_argument(name, value)?;
    }
    bar.finish_and_clear();
    tune(&mut model, common.int8).await?;
    if common.device == crate::device::DeviceChoice::Gpu {
        eprintln!("device: {} ({}); {}", device.kind(), device.adapter_name(), kernels_of(&model));
    }
    Ok(Engine::new(model))
}

/// Which kernels the model runs on its device, in words.
fn kernels_of(model: &Model) -> String {
    let ways: Vec<String> =
        model.tuning.names().iter().map(|(ty, way)| format!("{ty} {way}")).collect();
    let many = model.weights.tile().name();
    format!("one row: {}; many rows: tiles of {many}", ways.join(", "))
}

/// Tunes the model to its device, by the record in the cache folder if there is one. A record that cannot be read or
/// kept costs a measurement, no more.
async fn tune(model: &mut Model, lossy: bool) -> Result<(), Error> {
    let name = format!("{}.json", model.tuning_name(lossy));
    let path = folders().ok().map(|folders| folders.cache_dir().join("tuning").join(name));
    let record = path.as_ref().and_then(|path| fs::read(path).ok());
    let made = model.tune(record.as_deref(), lossy).await?;
    if let (Some(path), Some(made)) = (path, made) {
        path.parent().and_then(|folder| fs::create_dir_all(folder).ok());
        fs::write(path, made).ok();
    }
    Ok(())
}
