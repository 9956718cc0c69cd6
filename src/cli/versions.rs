//! `apprentice log`, `rollback`, `export` and `import`: the history of versions.
//!
//! It shows and moves what `learn` keeps; an imported adapter becomes HEAD only by a rollback to it.

use super::{Common, context, output};
use crate::error::Error;
use crate::learn::learner::Learner;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `rollback`.
#[derive(Args)]
pub struct RollbackArgs {
    /// A version's id, the beginning of one, or `base` [default: HEAD's parent]
    version: Option<String>,
}

/// Arguments of `export`.
#[derive(Args)]
pub struct ExportArgs {
    /// Folder for the PEFT adapter
    #[arg(long)]
    out: PathBuf,
    /// A version [default: HEAD]
    #[arg(long)]
    version: Option<String>,
}

/// Arguments of `import`.
#[derive(Args)]
pub struct ImportArgs {
    /// Folder of a PEFT adapter
    folder: PathBuf,
}

pub async fn log(common: &Common) -> Result<(), Error> {
    let learner = Learner::open(context::store(common)?, context::clock(), common.seed).await?;
    let head = learner.head().map(|version| version.id.clone());
    for version in learner.versions().into_iter().rev() {
        let is_head = head.as_ref() == Some(&version.id);
        if common.json {
            let mut line =
                serde_json::to_value(version).map_err(|error| Error::Output(error.to_string()))?;
            line["head"] = json!(is_head);
            output::json(&line)?;
            continue;
        }
        let mark = if is_head { "*" } else { " " };
        let suites: Vec<String> = version
            .suites
            .iter()
            .map(|(suite, line)| format!("{} {:.3}>{:.3}", suite.name(), line.before, line.after))
            .collect();
        output::line(&format!(
            "{mark} {}  parent {:16}  {} examples  {}  {}",
            version.id,
            version.parent.as_deref().unwrap_or("base"),
            version.examples.len(),
            version.note,
            suites.join(", ")
        ))?;
    }
    if !common.json && head.is_none() {
        output::line("* base  the model as it came")?;
    }
    Ok(())
}

pub async fn rollback(common: &Common, args: RollbackArgs) -> Result<(), Error> {
    let mut learner = Learner::open(context::store(common)?, context::clock(), common.seed).await?;
    let mut engine = context::engine(common).await?;
    let head = learner.rollback(&mut engine, args.version.as_deref()).await?;
    if common.json {
        return output::json(&json!({ "head": head }));
    }
    output::line(&format!("HEAD is {}", head.as_deref().unwrap_or("the base model")))
}

pub async fn export(common: &Common, args: ExportArgs) -> Result<(), Error> {
    let learner = Learner::open(context::store(common)?, context::clock(), common.seed).await?;
    let adapter = match args.version.as_deref() {
        Some(name) => learner.adapter_named(name).await?,
        None => learner.head_adapter().await?,
    };
    let Some(adapter) = adapter else {
        return Err(Error::Misuse("the base model answers; there is no adapter to export".into()));
    };
    let engine = context::engine(common).await?;
    context::write_adapter(&engine.model, &adapter, &args.out)?;
    if common.json {
        return output::json(
            &json!({ "out": args.out, "rank": adapter.rank, "alpha": adapter.alpha }),
        );
    }
    output::line(&format!("adapter of rank {} in {}", adapter.rank, args.out.display()))
}

pub async fn import(common: &Common, args: ImportArgs) -> Result<(), Error> {
    let mut learner = Learner::open(context::store(common)?, context::clock(), common.seed).await?;
    let mut engine = context::engine(common).await?;
    let adapter = context::read_adapter(&engine.model, &args.folder)?;
    let note = format!("imported from {}", args.folder.display());
    let version = learner.import(&mut engine, adapter, note).await?;
    if common.json {
        return output::json(&json!({ "version": version }));
    }
    output::line(&format!(
        "version {version} is in the history; `apprentice rollback {version}` makes it HEAD"
    ))
}
