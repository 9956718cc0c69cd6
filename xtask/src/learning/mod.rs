//! `cargo xtask learning`: a simulated user over many cycles, with the program's recipe and with the peers', as one table and
//! one plot.
//!
//! Each run is `apprentice simulate`, which goes on where it stopped, in `target/learning/`. Invariant: what lands in
//! `bench/results/` names its machine, its day, and how many cycles were lived.

mod plot;
mod run;
mod stats;
mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;

use plot::{Curve, Panel};
use run::{Run, bits, f1, items, number, share, top1};
use serde_json::{Value, json};

use crate::bench;
use crate::shell::{Outcome, cargo, root};

/// The arms, ours first.
const ARMS: [&str; 4] = ["ours", "plain", "replay-only", "accept-or-restore"];

/// Where the runs lie.
const FOLDER: &str = "target/learning";

/// The learning rate at which the small model takes up a correction; the recipe's is meant for models a hundred times as large.
const SMALL_RATE: &str = "2e-3";

/// What is asked of the command.
#[derive(Debug, PartialEq, Eq)]
struct Order {
    arms: Vec<String>,
    cycles: Option<String>,
    /// Cycles of the drifting stream on the small model, in the place of the user's on the default one.
    drift: Option<String>,
    /// Only the table and the plot of what was lived before.
    report: bool,
    /// What goes on to the engine.
    rest: Vec<String>,
}

impl Order {
    fn read(args: &[String]) -> Outcome<Order> {
        let mut order = Order {
            arms: vec![ARMS[0].into()],
            cycles: None,
            drift: None,
            report: false,
            rest: Vec::new(),
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().cloned().ok_or(format!("{arg} wants a value"));
            match arg.as_str() {
                "--arms" => order.arms = value()?.split(',').map(String::from).collect(),
                "--cycles" => order.cycles = Some(value()?),
                "--drift" => order.drift = Some(value()?),
                "--report" => order.report = true,
                other => order.rest.push(other.into()),
            }
        }
        if let Some(unknown) = order.arms.iter().find(|arm| !ARMS.contains(&arm.as_str())) {
            return Err(format!("no arm `{unknown}`; the arms are: {}", ARMS.join(" ")));
        }
        Ok(order)
    }

    /// A run's file.
    fn file(&self, arm: &str) -> PathBuf {
        let stream = if self.drift.is_some() { "drift" } else { "user" };
        root().join(FOLDER).join(format!("{stream}-{arm}.jsonl"))
    }
}

/// Runs the command.
pub fn run(args: &[String]) -> Outcome {
    let order = Order::read(args)?;
    let load = bench::load_average();
    if !order.report {
        for arm in &order.arms {
            live(&order, arm)?;
        }
    }
    let runs: Outcome<Vec<Run>> =
        order.arms.iter().map(|arm| Run::read(&order.file(arm))).collect();
    let runs = runs?;
    let mut arms = BTreeMap::new();
    for run in &runs {
        let rows = table::rows(run);
        println!("{}", table::text(run, &rows));
        arms.insert(run.arm.clone(), arm_json(run, &rows));
    }
    let date = bench::today();
    let stream = if order.drift.is_some() { "drift" } else { "user" };
    let name = root().join("bench/results").join(format!("{date}-learning-{stream}"));
    plot::draw(&name.with_extension("svg"), &panels(&runs))?;
    let command = format!("cargo xtask learning {}", args.join(" "));
    let result = json!({
        "date": date, "commit": bench::commit()?, "command": command.trim_end(),
        "machine": bench::machine(load), "arms": arms,
    });
    bench::write(&name.with_extension("json"), &result)
}

/// Lives an arm's cycles, or those that are missing.
fn live(order: &Order, arm: &str) -> Outcome {
    let engine = cargo(&["run", "--release", "--quiet", "--bin", "apprentice", "--"]);
    let mut engine = engine.args(["simulate", "--arm", arm, "--device", "cpu", "--out"]);
    engine = engine.args([order.file(arm)]);
    if let Some(cycles) = &order.drift {
        let small = crate::stages::small_model()?;
        engine = engine.args(["--stream", "drift", "--lr", SMALL_RATE, "--every", "100"]);
        engine =
            engine.args(["--cycles", cycles]).args(["--model".into(), small.join("small.gguf")]);
        engine = engine.args(["--suites".into(), small.join("suites")]);
    } else if let Some(cycles) = &order.cycles {
        engine = engine.args(["--cycles", cycles]);
    }
    engine.args(&order.rest).run()
}

/// An arm's part of the result: the table, and the lines without what they were decided on.
fn arm_json(run: &Run, rows: &[table::Row]) -> Value {
    let short = |line: &Value| {
        json!({
            "cycle": line["cycle"], "day": line["day"], "verdict": line["verdict"],
            "taught": line["taught"], "kept": line["kept"], "promoted": line["promoted"],
            "given_up": line["given_up"], "pending": line["pending"], "scale": line["scale"],
            "norm": line["norm"], "versions": line["versions"], "spent": line["spent"],
        })
    };
    let lines: Vec<Value> = run.lines.iter().map(short).collect();
    json!({ "run": run.header, "table": table::json(rows), "cycles": lines })
}

/// The curves of all runs.
fn panels(runs: &[Run]) -> Vec<Panel> {
    let exam = |line: &Value, key: &str| share(&bits(&line["exam"][key]));
    let all = |items: &[Value]| (0..items.len()).collect::<Vec<_>>();
    let facts = |line: &Value, key: &str| {
        let facts = items(&line["exam"]["facts"]).iter();
        let promoted = facts.filter(|fact| fact["promoted"] == true);
        let right: Vec<bool> = match key {
            "exact" => promoted.map(|fact| fact["exact"] == true).collect(),
            _ => promoted.flat_map(|fact| bits(&fact["rephrased"])).collect(),
        };
        share(&right)
    };
    let code = |line: &Value| {
        let files = items(&line["exam"]["code_tokens"]);
        top1(files, &all(files))
    };
    let style = |line: &Value| {
        let notes = items(&line["exam"]["style"]);
        f1(notes, &all(notes))
    };
    let exams = |what: &dyn Fn(&Value) -> f64| curves(runs, "", &|run| run.exams().collect(), what);
    let lines =
        |what: &dyn Fn(&Value) -> f64| curves(runs, "", &|run| run.lines.iter().collect(), what);
    let mut taught = exams(&|line| facts(line, "exact"));
    let other =
        curves(runs, ", rephrased", &|run| run.exams().collect(), &|line| facts(line, "other"));
    taught.extend(other);
    let mut core = exams(&|line| exam(line, "core"));
    let refusals =
        curves(runs, ", refusals", &|run| run.exams().collect(), &|line| exam(line, "refusals"));
    core.extend(refusals);
    let megabytes = |key: &'static str| move |line: &Value| number(&line["spent"][key]) / 1e6;
    vec![
        Panel { title: "Promoted facts that are answered, share", curves: taught },
        Panel { title: "Core knowledge and refusals, share right", curves: core },
        Panel { title: "Next token of unseen code, share right", curves: exams(&code) },
        Panel { title: "Style of notes for unseen requests, marker F1", curves: exams(&style) },
        Panel { title: "Norm of the adapter", curves: lines(&|line| number(&line["norm"])) },
        Panel { title: "Home folder, MB", curves: lines(&megabytes("home_bytes")) },
        Panel { title: "Most memory so far, MB", curves: lines(&megabytes("peak_bytes")) },
    ]
}

/// A curve a run, of the lines that `of` chooses.
fn curves<'a>(
    runs: &'a [Run],
    suffix: &str,
    of: &dyn Fn(&'a Run) -> Vec<&'a Value>,
    what: &dyn Fn(&Value) -> f64,
) -> Vec<Curve> {
    let curve = |run: &'a Run| {
        let points = of(run).into_iter().map(|line| (number(&line["cycle"]), what(line)));
        (format!("{}{suffix}", run.arm), points.collect())
    };
    runs.iter().map(curve).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(args: &[&str]) -> Outcome<Order> {
        Order::read(&args.iter().map(|arg| arg.to_string()).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_are_ours_or_the_engines() {
        let read = order(&["--arms", "ours,plain", "--cycles", "7", "--seed", "3"]).unwrap();
        assert_eq!(read.arms, ["ours", "plain"]);
        assert_eq!((read.cycles.as_deref(), read.drift), (Some("7"), None));
        assert_eq!(read.rest, ["--seed", "3"]);
        assert!(order(&["--arms", "theirs"]).unwrap_err().contains("no arm `theirs`"));
        assert!(order(&["--cycles"]).unwrap_err().contains("wants a value"));
    }

    #[test]
    fn panels_without_numbers_have_no_points() {
        let line =
            json!({ "cycle": 0, "norm": 1.5, "exam": { "core": [true, false] }, "spent": {} });
        let run = Run { arm: "ours".into(), header: json!({}), lines: vec![line] };
        let panels = panels(&[run]);
        let find =
            |title: &str| panels.iter().find(|panel| panel.title.starts_with(title)).unwrap();
        assert_eq!(find("Norm").curves[0].1, [(0.0, 1.5)]);
        assert_eq!(find("Core").curves[0].1, [(0.0, 0.5)]);
        assert!(find("Style").curves[0].1[0].1.is_nan());
    }

    #[test]
    fn the_streams_have_files_of_their_own() {
        let user = order(&[]).unwrap().file("ours");
        let drift = order(&["--drift", "10"]).unwrap().file("ours");
        assert_ne!(user, drift);
        assert!(user.starts_with(root()));
    }
}
