//! Adapters in and out of the page, as the bytes of one file, or of PEFT's two.
//!
//! It knows no files: the page saves and picks them, and keeps the base model's hash beside the bytes. Invariant: what comes in
//! is read whole and fits this model before anything is kept, and never becomes HEAD by itself.

use super::state::State;
use crate::error::Error;
use crate::format::gguf::Gguf;
use crate::format::gguf_adapter::GgufAdapter;
use crate::format::peft::PeftAdapter;
use crate::format::source::BytesSource;
use crate::learn::exchange::Foreign;
use crate::learn::learner::LearnError;
use crate::model::adapter::Adapter;
use crate::model::{gguf_adapter, peft, stack};

/// A version's adapter in a form: `gguf` or `adapter`.
pub async fn export(state: &State, version: &str, form: &str) -> Result<Vec<u8>, Error> {
    let adapter = adapter(state, version).await?;
    match form {
        "gguf" => Ok(gguf_adapter::to_gguf(&state.engine.model.config, &adapter)?),
        "adapter" => Ok(adapter.to_bytes()),
        other => Err(Error::Misuse(format!("no form `{other}`; there are gguf and adapter"))),
    }
}

/// A version's adapter as PEFT's configuration and weights.
pub async fn export_peft(state: &State, version: &str) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let adapter = adapter(state, version).await?;
    Ok(peft::to_peft(&state.engine.model.config, &adapter).write())
}

async fn adapter(state: &State, version: &str) -> Result<Adapter, Error> {
    let found = state.learner.adapter_named(version).await?;
    found.ok_or_else(|| Error::Misuse("the base model has no adapter to export".into()))
}

/// Keeps PEFT's two files as a version; returns its id.
pub async fn import_peft(
    state: &mut State,
    json: &[u8],
    weights: &[u8],
    origin: String,
) -> Result<String, Error> {
    let adapter = peft::from_peft(&state.engine.model.config, &PeftAdapter::read(json, weights)?)?;
    keep(state, adapter, origin).await
}

/// Keeps an adapter as a version; returns its id.
pub async fn import(state: &mut State, bytes: Vec<u8>, origin: String) -> Result<String, Error> {
    let config = &state.engine.model.config;
    let adapter = if bytes.starts_with(b"GGUF") {
        let mut source = BytesSource::new("the adapter's file", bytes);
        let found = GgufAdapter::from_gguf(&Gguf::read(&mut source).await?)?;
        gguf_adapter::from_gguf(config, &found, &mut source).await?
    } else {
        Adapter::from_bytes(&bytes).map_err(LearnError::from)?
    };
    keep(state, adapter, origin).await
}

async fn keep(state: &mut State, adapter: Adapter, origin: String) -> Result<String, Error> {
    stack::layout_of(&state.engine.model.config, &adapter)?;
    Ok(state.learner.import(&mut state.engine, Foreign::bare(adapter, origin)).await?)
}
