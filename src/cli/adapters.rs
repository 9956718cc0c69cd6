//! Adapters in and out of files, in both formats, and several as one.
//!
//! What a path holds is told by what it is, not by its name: a folder is PEFT's, a file that begins as GGUF is llama.cpp's.
//! Invariant: an adapter's files get their names when all of them are whole and on the disk.

use super::{Common, context, files};
use crate::error::Error;
use crate::format::gguf::Gguf;
use crate::format::gguf_adapter::GgufAdapter;
use crate::format::peft::PeftAdapter;
use crate::format::source::{FileSource, Source};
use crate::model::adapter::Adapter;
use crate::model::config::Config;
use crate::model::{gguf_adapter, peft, stack};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// An adapter's path, and how much of it is applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Weighted {
    path: PathBuf,
    weight: f32,
}

/// How an adapter is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AdapterFormat {
    /// A folder: adapter_config.json and adapter_model.safetensors
    Peft,
    /// One file, as llama.cpp reads it
    Gguf,
}

/// An adapter as people write it: `my-adapter`, or `my-adapter=0.5`.
pub fn parse(text: &str) -> Result<Weighted, String> {
    // A name may have a `=` of its own; only a number behind the last one is a weight.
    let split = text.rsplit_once('=').and_then(|(path, weight)| Some((path, weight.parse().ok()?)));
    let (path, weight): (&str, f32) = split.unwrap_or((text, 1.0));
    if path.is_empty() || !weight.is_finite() {
        return Err(format!("`{text}` is no adapter; write PATH or PATH=WEIGHT, such as mine=0.5"));
    }
    Ok(Weighted { path: path.into(), weight })
}

/// The weighted sum of adapters; none where there are no paths.
pub async fn read_all(config: &Config, paths: &[Weighted]) -> Result<Option<Adapter>, Error> {
    if paths.is_empty() {
        return Ok(None);
    }
    let mut parts = Vec::with_capacity(paths.len());
    for Weighted { path, weight } in paths {
        parts.push((read(config, path).await?, *weight));
    }
    Ok(Some(stack::compose(config, &parts)?))
}

/// Reads a PEFT folder or a GGUF file as an adapter of the model with this configuration.
pub async fn read(config: &Config, path: &Path) -> Result<Adapter, Error> {
    if path.is_dir() {
        return read_peft(config, path);
    }
    let mut source = FileSource::open(path)?;
    let mut magic = [0; 4];
    if source.len() >= 4 {
        source.read_at(0, &mut magic).await?;
    }
    if &magic != b"GGUF" {
        let text = "is no adapter; give a PEFT folder or a GGUF file of type adapter";
        return Err(Error::Misuse(format!("{} {text}", path.display())));
    }
    let adapter = GgufAdapter::from_gguf(&Gguf::read(&mut source).await?)?;
    if let Some(first) = adapter.left_out.first() {
        let n = adapter.left_out.len();
        eprintln!(
            "warning: {} trains {n} norms ({first}, …), which are left out, as llama.cpp leaves them",
            path.display()
        );
    }
    Ok(gguf_adapter::from_gguf(config, &adapter, &mut source).await?)
}

fn read_peft(config: &Config, folder: &Path) -> Result<Adapter, Error> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read(&path).map_err(|error| Error::file(&path, &error))
    };
    let weights = "adapter_model.safetensors";
    if folder.join("adapter_model.bin").exists() && !folder.join(weights).exists() {
        let text = "holds a pickle; save it from PEFT again with safe_serialization=True";
        return Err(Error::Misuse(format!("{} {text}", folder.display())));
    }
    let adapter = PeftAdapter::read(&read("adapter_config.json")?, &read(weights)?)?;
    Ok(peft::from_peft(config, &adapter)?)
}

/// Writes an adapter: a folder's two files (over older ones), or a new GGUF file.
pub fn write(
    config: &Config,
    adapter: &Adapter,
    format: AdapterFormat,
    out: &Path,
) -> Result<(), Error> {
    match format {
        AdapterFormat::Gguf => files::write_new(out, &gguf_adapter::to_gguf(config, adapter)?),
        AdapterFormat::Peft => write_peft(config, adapter, out),
    }
}

/// Writes an adapter as a PEFT folder, over an older one.
pub fn write_peft(config: &Config, adapter: &Adapter, folder: &Path) -> Result<(), Error> {
    stack::layout_of(config, adapter)?;
    let (json, tensors) = peft::to_peft(config, adapter).write();
    fs::create_dir_all(folder).map_err(|error| Error::file(folder, &error))?;
    let names = ["adapter_config.json", "adapter_model.safetensors"].map(|name| folder.join(name));
    let aside = |path: &Path| path.with_extension("tmp");
    for (path, bytes) in names.iter().zip([json, tensors]) {
        let path = aside(path);
        let written = File::create(&path)
            .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()));
        written.map_err(|error| Error::file(&path, &error))?;
    }
    for path in &names {
        fs::rename(aside(path), path).map_err(|error| Error::file(path, &error))?;
    }
    files::sync_folder_of(&names[0])
}

/// The shape of the model that the arguments name, from its header alone.
pub async fn config(common: &Common) -> Result<Config, Error> {
    let mut source = FileSource::open(&context::model_path(common)?)?;
    Ok(Config::from_gguf(&Gguf::read(&mut source).await?)?)
}
