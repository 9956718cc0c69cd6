//! `apprentice log`, `show`, `diff` and `examples`: the history to look at.
//!
//! It turns what `learn` keeps into text and JSON, and moves nothing. Invariant: a version is written as a person can
//! type it again.

use super::graph::{Node, rows};
use super::{Common, adapters, context, output};
use crate::error::Error;
use crate::learn::example::{Content, Example};
use crate::learn::learner::Learner;
use crate::learn::names::BASE;
use crate::learn::report::Event;
use crate::learn::version::Version;
use crate::model::distance::{Distance, distance};
use crate::store::native::NativeStore;
use clap::Args;
use serde_json::json;

/// Arguments of `log`.
#[derive(Args)]
pub struct LogArgs {
    /// Draw how the versions descend from each other
    #[arg(long)]
    graph: bool,
}

/// Arguments of `show`.
#[derive(Args)]
pub struct ShowArgs {
    /// A version: an id or its beginning, a tag, a branch, HEAD, base; ~N behind it goes back by N
    #[arg(default_value = "HEAD")]
    version: String,
}

/// Arguments of `diff`.
#[derive(Args)]
pub struct DiffArgs {
    /// A version
    from: String,
    /// Another one
    #[arg(default_value = "HEAD")]
    to: String,
    /// Answer the suites under both where that was not done yet (loads the model)
    #[arg(long)]
    measure: bool,
}

/// The learner of the home, with its warnings told.
pub async fn log(common: &Common, args: LogArgs) -> Result<(), Error> {
    let learner = context::learner(common).await?;
    let head = learner.head().map(|version| version.id.clone());
    if common.json {
        for version in learner.versions().into_iter().rev() {
            let mut line = value(version)?;
            line["head"] = json!(head.as_ref() == Some(&version.id));
            line["names"] = json!(learner.names().of(Some(&version.id)));
            output::json(&line)?;
        }
        return Ok(());
    }
    let (nodes, texts) = nodes(&learner);
    for (lanes, index) in rows(&nodes) {
        match (index, args.graph) {
            (Some(index), true) => output::line(&format!("{lanes}  {}", texts[index]))?,
            (Some(index), false) if nodes[index].name == BASE && head.is_some() => {}
            (Some(index), false) => output::line(&texts[index])?,
            (None, true) => output::line(&lanes)?,
            (None, false) => {}
        }
    }
    Ok(())
}

/// The versions, children before parents, with a line of text each; the last are what is not kept, and the base model.
fn nodes(learner: &Learner<NativeStore>) -> (Vec<Node>, Vec<String>) {
    let head = learner.head().map(|version| version.id.clone());
    let mut versions = learner.versions();
    versions.sort_by_key(|version| (learner.depth(&version.id), version.created_ms));
    let (mut nodes, mut texts) = (Vec::new(), Vec::new());
    let mut ends: Vec<String> = Vec::new();
    for version in versions.into_iter().rev() {
        let mut parents: Vec<String> = version.parents().map(String::from).collect();
        if parents.is_empty() {
            parents.push(BASE.into());
        }
        let known: Vec<&str> = learner.versions().iter().map(|v| v.id.as_str()).collect();
        ends.extend(parents.iter().filter(|parent| !known.contains(&parent.as_str())).cloned());
        nodes.push(Node { name: version.id.clone(), parents });
        texts.push(line(learner, version, head.as_ref() == Some(&version.id)));
    }
    ends.push(BASE.into());
    ends.sort_by_key(|name| name == BASE);
    ends.dedup();
    for name in ends {
        let (what, id) = match name == BASE {
            true => ("the model as it came", None),
            false => ("not kept any more", Some(name.as_str())),
        };
        let mark = marks(learner, id, head.is_none() && id.is_none());
        texts.push(format!("{name}{mark}  {what}"));
        nodes.push(Node { name, parents: Vec::new() });
    }
    (nodes, texts)
}

fn line(learner: &Learner<NativeStore>, version: &Version, is_head: bool) -> String {
    let mark = marks(learner, Some(&version.id), is_head);
    format!("{}{mark}  {} learned  {}", version.id, version.learned.len(), version.note)
}

/// What a version is called, in brackets.
pub fn marks(learner: &Learner<NativeStore>, id: Option<&str>, is_head: bool) -> String {
    let mut names = learner.names().of(id);
    if is_head {
        let branch = learner.names().current.as_ref();
        names.retain(|name| Some(name) != branch);
        names.insert(0, branch.map_or("HEAD".into(), |branch| format!("HEAD -> {branch}")));
    }
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

pub async fn show(common: &Common, args: ShowArgs) -> Result<(), Error> {
    let learner = context::learner(common).await?;
    let Some(id) = learner.resolve(&args.version)? else {
        let text = "the model as it came";
        return match common.json {
            true => output::json(&json!({ "id": BASE, "note": text })),
            false => output::line(&format!("{BASE}{}  {text}", marks(&learner, None, false))),
        };
    };
    let versions = learner.versions();
    let Some(version) = versions.into_iter().find(|version| version.id == id) else {
        return Err(crate::learn::learner::LearnError::NoVersion(args.version).into());
    };
    if common.json {
        let mut line = value(version)?;
        line["names"] = json!(learner.names().of(Some(&id)));
        line["depth"] = json!(learner.depth(&id));
        return output::json(&line);
    }
    let is_head = learner.head().is_some_and(|head| head.id == id);
    output::line(&format!("version  {id}{}", marks(&learner, Some(&id), is_head)))?;
    output::line(&format!("parent   {}", version.parent.as_deref().unwrap_or(BASE)))?;
    if let Some(other) = &version.merged {
        output::line(&format!("merged   {other}"))?;
    }
    if let Some(origin) = &version.origin {
        output::line(&format!("origin   {origin}"))?;
    }
    output::line(&format!("adapter  {}", version.adapter))?;
    output::line(&format!(
        "made     {} ms since 1970, at scale {}",
        version.created_ms, version.scale
    ))?;
    output::line(&format!("note     {}", version.note))?;
    for (suite, line) in &version.suites {
        let (name, n) = (suite.name(), line.n);
        let (before, after, p) = (line.before, line.after, line.p);
        output::line(&format!("  {name:16} {before:8.3} -> {after:8.3}   n {n:4}   p {p:.3}"))?;
    }
    listed(&learner, "+", &version.learned)
}

pub async fn diff(common: &Common, args: DiffArgs) -> Result<(), Error> {
    let mut learner = context::learner(common).await?;
    let config = if args.measure {
        let mut engine = context::engine(common).await?;
        for name in [&args.from, &args.to] {
            learner.eval(&mut engine, None, Some(name), None, &mut |_: Event| {}).await?;
        }
        engine.model.config.clone()
    } else {
        adapters::config(common).await?
    };
    let difference = learner.diff(&args.from, &args.to).await?;
    let mut ends = [None, None];
    for (end, name) in ends.iter_mut().zip([&args.from, &args.to]) {
        *end = learner.adapter_named(name).await?;
    }
    let weights = distance(&config, ends[0].as_ref(), ends[1].as_ref())?;
    if common.json {
        let mut line = value(&difference)?;
        line["weights"] = value(&weights)?;
        line["weights"]["relative"] = json!(weights.as_ref().map(Distance::relative));
        return output::json(&line);
    }
    listed(&learner, "+", &difference.learned)?;
    listed(&learner, "-", &difference.unlearned)?;
    for (suite, line) in &difference.suites {
        let (name, n) = (suite.name(), line.n);
        let (before, after, p) = (line.before, line.after, line.p);
        output::line(&format!("  {name:16} {before:8.3} -> {after:8.3}   n {n:4}   p {p:.3}"))?;
    }
    if difference.suites.is_empty() {
        output::line("  no item was answered under both; --measure does that")?;
    }
    for (mark, items) in [("lost", &difference.lost), ("won ", &difference.won)] {
        if !items.is_empty() {
            output::line(&format!("  {mark} {}", items.join(" ")))?;
        }
    }
    match weights {
        Some(moved) => output::line(&format!(
            "  weights          |change| {:.4}, {:.1} % of the larger update ({:.4} -> {:.4})",
            moved.change,
            100.0 * moved.relative(),
            moved.from,
            moved.to
        )),
        None => output::line("  weights          this method's updates are no products of factors"),
    }
}

pub async fn examples(common: &Common) -> Result<(), Error> {
    let learner = context::learner(common).await?;
    let waiting: Vec<String> = learner.pending().iter().map(|e| e.id.clone()).collect();
    for example in learner.examples() {
        if common.json {
            output::json(example)?;
            continue;
        }
        let mark = if waiting.contains(&example.id) { "waits" } else { "     " };
        output::line(&format!("{}  {mark}  {}", example.id, words(example)))?;
    }
    Ok(())
}

fn listed(learner: &Learner<NativeStore>, mark: &str, ids: &[String]) -> Result<(), Error> {
    let examples = learner.examples();
    for id in ids {
        let example = examples.iter().find(|example| example.id == *id);
        let text = example.map_or("(not kept any more)".into(), |example| words(example));
        output::line(&format!("{mark} {id}  {text}"))?;
    }
    Ok(())
}

/// An example on one line.
fn words(example: &Example) -> String {
    const CHARS_MAX: usize = 100;
    let text = match (&example.content, example.content.question_answer()) {
        (_, Some((question, answer))) => format!("{question} -> {answer}"),
        (Content::Text(text), None) => text.clone(),
        (Content::Chat(_), None) => String::new(),
    };
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// A value as JSON.
pub fn value<T: serde::Serialize>(of: &T) -> Result<serde_json::Value, Error> {
    serde_json::to_value(of).map_err(|error| Error::Output(error.to_string()))
}
