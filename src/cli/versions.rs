//! `apprentice rollback`, `export` and `import`: versions moved, given away and taken in.
//!
//! It moves what `learn` keeps; an imported adapter becomes HEAD only through the gate (`adopt`).

use super::adapters::{self, AdapterFormat};
use super::skills::{self, SkillArgs};
use super::{Common, context, output};
use crate::error::Error;
use crate::learn::exchange::Foreign;
use crate::learn::names::HEAD;
use crate::learn::student::Student;
use crate::learn::version::Version;
use crate::model::adapter::Adapter;
use crate::model::stack;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `rollback`.
#[derive(Args)]
pub struct RollbackArgs {
    /// A version: an id or its beginning, a tag, a branch, base, HEAD~2 [default: HEAD's parent]
    version: Option<String>,
}

/// Arguments of `export`.
#[derive(Args)]
pub struct ExportArgs {
    /// The folder (peft) or the new file (gguf)
    #[arg(long)]
    out: PathBuf,
    /// What is written: a folder for PEFT, or a file for llama.cpp
    #[arg(long, value_enum, default_value_t = AdapterFormat::Peft)]
    format: AdapterFormat,
    /// A version [default: HEAD]
    #[arg(long)]
    version: Option<String>,
    /// An adapter instead of a version, a PEFT folder or a GGUF file, with a weight if one is given; several are added
    #[arg(long, value_name = "PATH[=WEIGHT]", conflicts_with = "version", value_parser = adapters::parse)]
    adapter: Vec<adapters::Weighted>,
    #[command(flatten)]
    skill: SkillArgs,
}

/// Arguments of `import`.
#[derive(Args)]
pub struct ImportArgs {
    /// A signed skill, a PEFT folder, or a GGUF file of type adapter
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The public key that must have signed the skill
    #[arg(long, value_name = "KEY")]
    from: Option<String>,
}

pub async fn rollback(common: &Common, args: RollbackArgs) -> Result<(), Error> {
    let mut learner = context::learner(common).await?;
    let mut engine = context::engine(common).await?;
    let head = learner.rollback(&mut engine, args.version.as_deref()).await?;
    if common.json {
        return output::json(&json!({ "head": head }));
    }
    output::line(&format!("HEAD is {}", head.as_deref().unwrap_or("the base model")))
}

pub async fn export(common: &Common, args: ExportArgs) -> Result<(), Error> {
    if args.skill.wanted() {
        return skills::export(common, &args.skill, args.version.as_deref(), &args.out).await;
    }
    let config = adapters::config(common).await?;
    let adapter = match adapters::read_all(&config, &args.adapter).await? {
        Some(adapter) => Some(adapter),
        None => version(common, args.version.as_deref()).await?,
    };
    let Some(adapter) = adapter else {
        return Err(Error::Misuse("the base model answers; there is no adapter to export".into()));
    };
    adapters::write(&config, &adapter, args.format, &args.out)?;
    if common.json {
        return output::json(
            &json!({ "out": args.out, "rank": adapter.rank, "alpha": adapter.alpha }),
        );
    }
    output::line(&format!("adapter of rank {} in {}", adapter.rank, args.out.display()))
}

/// The adapter of a version, or of HEAD; none is the base model.
pub async fn version(common: &Common, name: Option<&str>) -> Result<Option<Adapter>, Error> {
    let learner = context::learner(common).await?;
    let id = learner.resolve(name.unwrap_or(HEAD))?;
    let wanted = |version: &Version| Some(&version.id) == id.as_ref();
    if learner.versions().into_iter().any(|version| wanted(version) && version.scoped) {
        // No format of other programs has a word for it.
        eprintln!(
            "warning: the version answers only near what it was taught; its adapter alone answers everywhere"
        );
    }
    Ok(match name {
        Some(name) => learner.adapter_named(name).await?,
        None => learner.head_adapter().await?,
    })
}

pub async fn import(common: &Common, args: ImportArgs) -> Result<(), Error> {
    let mut learner = context::learner(common).await?;
    let mut engine = context::engine(common).await?;
    let foreign = match (skills::is_skill(&args.path), &args.from) {
        (true, signer) => skills::read(&args.path, &engine.base_hash(), signer.as_deref())?,
        (false, None) => {
            let adapter = adapters::read(&engine.model.config, &args.path).await?;
            Foreign::bare(adapter, args.path.display().to_string())
        }
        (false, Some(_)) => {
            let text = "is no signed skill; only skills say who made them";
            return Err(Error::Misuse(format!("{} {text}", args.path.display())));
        }
    };
    stack::layout_of(&engine.model.config, &foreign.adapter)?;
    let (origin, carried) = (foreign.origin.clone(), foreign.lessons.len());
    let version = learner.import(&mut engine, foreign).await?;
    if common.json {
        return output::json(&json!({ "version": version, "origin": origin, "lessons": carried }));
    }
    output::line(&format!("version {version} is {origin}, with {carried} lessons"))?;
    output::line(&format!("`apprentice adopt {version}` examines it beside HEAD and takes it in"))
}
