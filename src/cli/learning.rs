//! `apprentice teach`, `learn` and `eval`: the learning loop from a terminal or a script.

use super::history::value;
use super::phases::{Phases, told};
use super::{Common, adapters, context, output};
use crate::error::Error;
use crate::learn::checkpoint::Interrupted;
use crate::learn::engine::Engine;
use crate::learn::evaluate::{Scores, evaluate};
use crate::learn::exam::summary;
use crate::learn::example::{self, NewExample};
use crate::learn::gate::{SuiteKind, Verdict};
use crate::learn::learner::LearnError;
use crate::learn::recipe::Recipe;
use crate::learn::report::{CycleReport, Event, LearnOptions};
use crate::learn::scope::Scope;
use crate::learn::student::Student;
use crate::learn::suite::{Suites, user_items};
use crate::train::{Form, Surgery};
use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Files of a folder that are read as documents, by their ending.
const DOCUMENTS: &[&str] = &[
    "md", "txt", "rs", "py", "js", "ts", "tsx", "jsx", "c", "h", "cpp", "hpp", "go", "java", "kt",
    "rb", "sh", "sql", "css", "html", "toml", "yaml", "yml", "wgsl", "lua", "swift", "cs", "scala",
];

/// Arguments of `teach`.
#[derive(Args)]
pub struct TeachArgs {
    /// A question
    #[arg(long, requires = "answer", required_unless_present = "file")]
    prompt: Option<String>,
    /// The answer that it should get
    #[arg(long, requires = "prompt")]
    answer: Option<String>,
    /// Lessons (.jsonl), a document, or a folder of documents and code
    #[arg(long, conflicts_with = "prompt")]
    file: Option<PathBuf>,
    /// Believe the file as you believe yourself: nothing of it waits for a review
    #[arg(long, requires = "file")]
    trust: bool,
}

/// Arguments of `learn`.
#[derive(Args)]
pub struct LearnArgs {
    /// Most training steps [default: as many as the lessons ask for]
    #[arg(long)]
    steps: Option<usize>,
    /// Items of each suite, for a quick look [default: all]
    #[arg(long)]
    sample: Option<usize>,
    /// Learning rate [default: the recipe's]
    #[arg(long)]
    lr: Option<f32>,
    /// Let the adapter answer everything, not only what is near the lessons
    #[arg(long)]
    everywhere: bool,
    /// Teach also what looks like noise or contradicts core knowledge (the gate still decides)
    #[arg(long)]
    no_screen: bool,
    /// Let what teaches give way where it works against what protects: over the whole adapter, or layer by layer
    #[arg(long, value_name = "off|global|layers", value_parser = named::<Surgery>)]
    surgery: Option<Surgery>,
    /// Hold on to what earlier lessons need (elastic weight consolidation), in this form
    #[arg(long, value_name = "diagonal|function", value_parser = named::<Form>)]
    ewc: Option<Form>,
    /// How strongly [default: the recipe's]
    #[arg(long, value_name = "LAMBDA", requires = "ewc")]
    ewc_weight: Option<f32>,
    /// Other suites than the built-in ones: a folder with core.jsonl, language.jsonl, refusals.jsonl
    #[arg(long, value_name = "DIR")]
    suites: Option<PathBuf>,
}

impl LearnArgs {
    fn options(&self) -> Result<LearnOptions, Error> {
        let mut recipe = Recipe::default();
        recipe.lr = self.lr.unwrap_or(recipe.lr);
        recipe.scoped = !self.everywhere;
        recipe.surgery = self.surgery.unwrap_or(recipe.surgery);
        recipe.ewc.form = self.ewc;
        recipe.ewc.lambda = self.ewc_weight.unwrap_or(recipe.ewc.lambda);
        if !(recipe.ewc.lambda >= 0.0 && recipe.ewc.lambda.is_finite()) {
            return Err(Error::Misuse("--ewc-weight must be 0 or more".into()));
        }
        Ok(LearnOptions {
            steps_max: self.steps,
            sample: self.sample,
            screen: !self.no_screen,
            recipe,
            ..LearnOptions::default()
        })
    }
}

/// Arguments of `eval`.
#[derive(Args)]
pub struct EvalArgs {
    /// A suite's name, or a file of lessons or of multiple-choice questions [default: all suites]
    #[arg(long, value_name = "NAME|FILE")]
    suite: Option<String>,
    /// A version, or `base` [default: HEAD]
    #[arg(long)]
    version: Option<String>,
    /// An adapter instead of a version, a PEFT folder or a GGUF file, with a weight if one is given; several are added
    #[arg(long, value_name = "PATH[=WEIGHT]", conflicts_with = "version", value_parser = adapters::parse)]
    adapter: Vec<adapters::Weighted>,
    /// Items of each suite [default: all]
    #[arg(long)]
    sample: Option<usize>,
}

pub async fn teach(common: &Common, args: TeachArgs) -> Result<(), Error> {
    let lessons = match (&args.prompt, &args.answer, &args.file) {
        (Some(prompt), Some(answer), _) => vec![NewExample::correction(prompt, answer, None)],
        (_, _, Some(path)) => read_lessons(path)?,
        _ => return Err(Error::Misuse("give --prompt and --answer, or --file".into())),
    };
    if lessons.is_empty() {
        let path = args.file.unwrap_or_default();
        return Err(Error::Misuse(format!("{}: nothing to teach in it", path.display())));
    }
    let mut learner = context::learner(common).await?;
    let ids: Vec<String> = lessons.iter().map(NewExample::id).collect();
    let report = learner.teach(lessons).await?;
    if args.trust {
        learner.vouch(&ids).await?;
    }
    if common.json {
        return output::json(&report);
    }
    output::line(&format!(
        "{} added, {} known already, {} replaced; {} examples in all, {} wait for `apprentice learn`",
        report.added,
        report.duplicates,
        report.replaced,
        report.total,
        learner.pending().len()
    ))
}

/// Lessons of a file, or of all documents below a folder in the order of their paths.
fn read_lessons(path: &Path) -> Result<Vec<NewExample>, Error> {
    if !path.is_dir() {
        return read_file(path);
    }
    let mut lessons = Vec::new();
    let entries = fs::read_dir(path).map_err(|error| Error::file(path, &error))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(|error| Error::file(path, &error))?.path());
    }
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_string();
        if name.starts_with('.') || name == "node_modules" || name == "target" {
            continue;
        }
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_string();
        if path.is_dir() || DOCUMENTS.contains(&extension.as_str()) {
            lessons.extend(read_lessons(&path)?);
        }
    }
    Ok(lessons)
}

fn read_file(path: &Path) -> Result<Vec<NewExample>, Error> {
    let text = fs::read_to_string(path).map_err(|error| Error::file(path, &error))?;
    let source = path.display().to_string();
    if path.extension().is_some_and(|extension| extension == "jsonl") {
        return Ok(example::lessons(&text, &source).map_err(LearnError::from)?);
    }
    Ok(example::documents(&text, &source))
}

/// A word as it is stored.
fn named<T: serde::de::DeserializeOwned>(word: &str) -> Result<T, String> {
    serde_json::from_value(word.into()).map_err(|error| error.to_string())
}

/// Shows a cycle as it runs.
struct Show<'a> {
    common: &'a Common,
    bar: ProgressBar,
}

impl Show<'_> {
    fn event(&self, event: &Event) {
        if self.common.json {
            // A closed pipe shows when the report is printed; a cycle is not lost for it.
            output::json(event).ok();
            return;
        }
        match event {
            Event::Phase { phase, done, total, detail } => {
                let phase = format!("{phase:?}").to_lowercase();
                let text = match detail {
                    Some(detail) => format!("{phase}: {detail}"),
                    None => phase,
                };
                match (done, total) {
                    (Some(done), Some(total)) => self.at(*done, *total, text),
                    _ if self.bar.is_hidden() => eprintln!("{text}"),
                    _ => self.at(0, 0, text),
                }
            }
            Event::Step { step, steps_max, loss, kl, learned, total, seconds_left, .. } => {
                let text = format!(
                    "loss {loss:.3}, kl {kl:.4}, {learned} of {total} said, {seconds_left:.0} s left at most"
                );
                self.at(*step, *steps_max, text);
            }
            Event::Resumed { step, steps_max } => {
                let text =
                    format!("going on at step {step} of {steps_max}, where it was interrupted");
                self.bar.suspend(|| eprintln!("{text}"));
            }
            Event::Kept { .. } => {}
            Event::Suite { suite, scale, done, total } => {
                self.at(*done, *total, format!("{} at scale {scale}", suite.name()));
            }
            Event::Warning { message } => self.bar.suspend(|| eprintln!("warning: {message}")),
            Event::Verdict { .. } => self.bar.finish_and_clear(),
        }
    }

    fn at(&self, done: usize, total: usize, text: String) {
        if self.bar.is_hidden() && done == total {
            eprintln!("{done} of {total}: {text}");
        }
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        self.bar.set_message(text);
    }
}

pub async fn learn(common: &Common, args: LearnArgs) -> Result<ExitCode, Error> {
    let options = args.options()?;
    let mut learner = context::examiner(common, args.suites.as_deref()).await?;
    if learner.pending().is_empty() {
        return Err(LearnError::NothingToLearn.into());
    }
    let mut engine = context::engine(common).await?;
    let cancel = engine.cancel.clone();
    // A second handler cannot be set; the first one of the process stays.
    ctrlc::set_handler(move || cancel.raise()).ok();
    let show = Show { common, bar: output::step_bar() };
    let mut phases = Phases::default();
    let mut hear = |event: Event| {
        phases.hear(&event);
        show.event(&event);
    };
    let learned = learner.learn(&mut engine, &options, &mut hear).await;
    if let (Err(_), Some(Interrupted { step, .. })) = (&learned, learner.interrupted()) {
        let text = "`apprentice learn` goes on from there";
        show.bar.suspend(|| eprintln!("what was trained is kept up to step {step}; {text}"));
    }
    let report = learned?;
    show.bar.finish_and_clear();
    let seconds = phases.seconds();
    if common.json {
        let mut value = value(&report)?;
        value["told"] = json!(report.told());
        value["phases"] = json!(seconds);
        output::json(&value)?;
    } else {
        print_report(&report)?;
        output::line(&told(&seconds))?;
    }
    Ok(ExitCode::from(if report.verdict == Verdict::Promote { 0 } else { 3 }))
}

fn print_report(report: &CycleReport) -> Result<(), Error> {
    output::line(&report.told())?;
    for note in &report.notes {
        output::line(&format!("believed: {note}"))?;
    }
    output::line(&format!(
        "{} of {} said; loss {:.3} to {:.3}; scale {}; {:.0} s; HEAD is {}",
        report.learned,
        report.taught,
        report.loss_first,
        report.loss_last,
        report.scale,
        report.seconds,
        report.version.as_deref().unwrap_or("the base model")
    ))?;
    for (suite, line) in &report.suites {
        output::line(&format!(
            "  {:16} {:8.3} -> {:8.3}   n {:4}   p {:.3}",
            suite.name(),
            line.before,
            line.after,
            line.n,
            line.p
        ))?;
    }
    Ok(())
}

pub async fn eval(common: &Common, args: EvalArgs) -> Result<(), Error> {
    let mut learner = context::learner(common).await?;
    let mut engine = context::engine(common).await?;
    let show = Show { common: &Common { json: false, ..common.clone() }, bar: output::step_bar() };
    let file = args.suite.as_ref().map(PathBuf::from).filter(|path| path.exists());
    let suites = if file.is_some() || !args.adapter.is_empty() {
        let adapter = match adapters::read_all(&engine.model.config, &args.adapter).await? {
            Some(adapter) => Some(adapter),
            None => match args.version.as_deref() {
                Some(name) => learner.adapter_named(name).await?,
                None => learner.head_adapter().await?,
            },
        };
        engine
            .use_adapter(adapter.as_ref(), Scope::everything())
            .await
            .map_err(LearnError::from)?;
        eval_items(&mut engine, learner.suites(), file.as_deref(), args.suite.as_deref()).await?
    } else {
        let (suite, version) = (args.suite.as_deref(), args.version.as_deref());
        let mut events = |event: Event| show.event(&event);
        let all = learner.eval(&mut engine, suite, version, args.sample, &mut events).await?;
        serde_json::to_value(all).map_err(|error| Error::Output(error.to_string()))?
    };
    show.bar.finish_and_clear();
    if common.json {
        return output::json(&json!({ "suites": suites }));
    }
    for (name, line) in suites.as_object().into_iter().flatten() {
        let accuracy = match line["accuracy"].as_f64() {
            Some(share) => format!("{:5.1} % right", 100.0 * share),
            None => "             ".into(),
        };
        let loss = line["loss"].as_f64().unwrap_or(f64::NAN);
        output::line(&format!("{name:16} {accuracy}   loss {loss:.4}   n {}", line["n"]))?;
    }
    Ok(())
}

/// Scores the items of a file, or of the built-in suites, under the adapter in place.
async fn eval_items(
    engine: &mut Engine,
    suites: &Suites,
    file: Option<&Path>,
    name: Option<&str>,
) -> Result<serde_json::Value, Error> {
    let mut items = suites.items();
    if let Some(path) = file {
        let text = fs::read_to_string(path).map_err(|error| Error::file(path, &error))?;
        items = match Suites::parse(&text, "", "") {
            Ok(suites) => suites.items(),
            Err(_) => {
                let now = context::clock();
                let lessons = read_file(path)?.into_iter().map(|lesson| lesson.stored(now(), 1.0));
                let lessons: Vec<_> = lessons.collect();
                user_items(&lessons.iter().collect::<Vec<_>>(), &[])
            }
        };
    } else if let Some(name) = name {
        let kind = SuiteKind::named(name).ok_or_else(|| LearnError::NoSuite(name.into()))?;
        items.retain(|candidate, _| *candidate == kind);
    }
    let mut all = serde_json::Map::new();
    for (kind, items) in items {
        let mut cache = Scores::new();
        let scores = evaluate(engine, &items, &mut cache, &mut |_| {}).await;
        let scores = scores.map_err(LearnError::from)?;
        let line = serde_json::to_value(summary(&scores));
        let line = line.map_err(|error| Error::Output(error.to_string()))?;
        all.insert(kind.name().to_string(), line);
    }
    Ok(all.into())
}
