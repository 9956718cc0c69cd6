//! Every test of the project, as stages in a fixed order: cheapest first, so that a slip is told early.
//!
//! It knows nothing of what the tests assert. Invariant: a stage that ran no test has failed, and so has one whose
//! needs (a GPU, the model, a browser) this machine does not meet; nothing is skipped silently.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::shell::{Outcome, Program, cargo, program, root};
use crate::{model, needs, package, page};

/// The stages in the order in which they run.
const STAGES: [Stage; 12] = [
    Stage { name: "fmt", run: fmt },
    Stage { name: "clippy", run: clippy },
    Stage { name: "shaders", run: || module("shaders", Needs::NOTHING) },
    Stage { name: "tidy", run: || module("tidy", Needs::NOTHING) },
    Stage { name: "unit", run: unit },
    Stage { name: "kernels", run: || module("kernels", Needs::GPU) },
    Stage { name: "gradients", run: || module("gradients", Needs::GPU) },
    Stage { name: "golden", run: || module("golden", Needs::GPU_AND_MODEL) },
    Stage { name: "learning", run: || module("learning", Needs::GPU_AND_MODEL) },
    Stage { name: "simulate", run: || module("simulate", Needs::NOTHING) },
    Stage { name: "crash", run: || module("crash", Needs::NOTHING) },
    Stage { name: "page", run: page_in_a_browser },
];

/// Modules of `tests/it` that have a stage of their own; `unit` runs the rest.
const MODULES: [&str; 8] =
    ["shaders", "tidy", "kernels", "gradients", "golden", "learning", "simulate", "crash"];

/// Writes a small trained model and its suites for the page's tests; the folder follows.
const SMALL_MODEL: [&str; 5] = ["run", "--quiet", "--", "synth", "--small"];
/// What that command leaves in the folder.
const SMALL_MODEL_FILE: &str = "small.gguf";
const SMALL_SUITES: &str = "suites";

const NODE_HINT: &str = "install Node 20 or later (Debian: apt-get install nodejs npm)";

struct Stage {
    name: &'static str,
    run: fn() -> Outcome,
}

/// What a stage's tests need besides cargo.
#[derive(Clone, Copy)]
struct Needs {
    gpu: bool,
    model: bool,
}

impl Needs {
    const NOTHING: Self = Self { gpu: false, model: false };
    const GPU: Self = Self { gpu: true, model: false };
    const GPU_AND_MODEL: Self = Self { gpu: true, model: true };

    /// Makes sure of the needs, and returns the environment that tells the tests of them.
    fn meet(self) -> Outcome<Vec<(&'static str, PathBuf)>> {
        let mut env = Vec::new();
        if self.gpu {
            // The tests fail without an adapter instead of passing over themselves.
            env.push(("APPRENTICE_GPU", "require".into()));
            env.extend(needs::vulkan_driver()?.map(|driver| ("VK_DRIVER_FILES", driver)));
        }
        if self.model {
            env.push(("APPRENTICE_MODEL", model::ensure(None)?));
        }
        Ok(env)
    }
}

/// Runs the stages named in `args` (all, if none is), and stops at the first failure unless told `--keep-going`.
pub fn test(args: &[String]) -> Outcome {
    let (options, names): (Vec<_>, Vec<_>) = args.iter().partition(|arg| arg.starts_with('-'));
    let stages = choose(&names)?;
    let keep_going = match options.as_slice() {
        [] => false,
        [option] if *option == "--keep-going" => true,
        _ => return Err("test knows one option, --keep-going".into()),
    };
    run_all(&stages, keep_going)
}

fn choose(names: &[&String]) -> Outcome<Vec<&'static Stage>> {
    if let Some(unknown) =
        names.iter().find(|name| !STAGES.iter().any(|stage| stage.name == **name))
    {
        let known = STAGES.iter().map(|stage| stage.name).collect::<Vec<_>>().join(" ");
        return Err(format!("no stage `{unknown}`; the stages are: {known}"));
    }
    let wanted = |stage: &&Stage| names.is_empty() || names.iter().any(|name| *name == stage.name);
    Ok(STAGES.iter().filter(wanted).collect())
}

fn run_all(stages: &[&Stage], keep_going: bool) -> Outcome {
    let start = Instant::now();
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    for stage in stages {
        eprintln!("\n==== {} ====", stage.name);
        let begun = Instant::now();
        let outcome = (stage.run)();
        let line = report(stage.name, begun.elapsed(), &outcome);
        eprintln!("{line}");
        lines.push(line);
        if outcome.is_err() {
            failed.push(stage.name);
            if !keep_going {
                break;
            }
        }
    }
    println!("\n{}", lines.join("\n"));
    if !failed.is_empty() {
        return Err(format!("failed: {}", failed.join(", ")));
    }
    println!("all {} stages ok in {}", stages.len(), minutes(start.elapsed()));
    Ok(())
}

fn report(name: &str, time: Duration, outcome: &Outcome) -> String {
    match outcome {
        Ok(()) => format!("{name:<10} {:>7}  ok", minutes(time)),
        Err(reason) => format!("{name:<10} {:>7}  FAILED: {reason}", minutes(time)),
    }
}

fn minutes(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

fn fmt() -> Outcome {
    cargo(&["fmt", "--all", "--check"]).run()
}

/// Package by package, as a person builds them: with `--workspace`, cargo would unite the two packages' features and
/// build their dependencies once more.
fn clippy() -> Outcome {
    cargo(&["clippy", "--all-targets", "--", "-D", "warnings"]).run()?;
    cargo(&["clippy", "--package", "xtask", "--all-targets", "--", "-D", "warnings"]).run()?;
    needs::wasm_target()?;
    let wasm = ["clippy", "--lib", "--target", "wasm32-unknown-unknown", "--", "-D", "warnings"];
    cargo(&wasm).run()
}

fn unit() -> Outcome {
    cargo(&["test", "--package", "xtask"]).run()?;
    cargo(&["test", "--lib", "--bins"]).run()?;
    let others = |test: &str| !MODULES.iter().any(|module| belongs(test, module));
    if !integration_tests()?.iter().any(|test| others(test)) {
        return Ok(());
    }
    let skips = MODULES.iter().flat_map(|module| ["--skip".into(), format!("{module}::")]);
    // Some of them read the real model's file (its tokenizer, its tensors), some run a tiny model on both devices.
    let env = Needs { gpu: true, model: true }.meet()?;
    with_env(cargo(&["test", "--test", "it", "--"]).args(skips), env).run()
}

/// Runs the tests of one module of `tests/it`.
fn module(name: &str, needs: Needs) -> Outcome {
    let env = needs.meet()?;
    let all = integration_tests()?;
    if !all.iter().any(|test| belongs(test, name)) {
        return Err(format!("tests/it has no test in a module `{name}`"));
    }
    let filter = format!("{name}::");
    // The filter finds its text anywhere: `golden::gradients::` belongs to another stage.
    let others = all.iter().filter(|test| test.contains(&filter) && !belongs(test, name));
    let skips = others.flat_map(|test| ["--skip", test]);
    let run = cargo(&["test", "--test", "it", "--", &filter]).args(skips);
    with_env(run, env).run()
}

/// The names of all integration tests, as `module::…::test`.
fn integration_tests() -> Outcome<Vec<String>> {
    let listed = cargo(&["test", "--test", "it", "--", "--list"]).read()?;
    let tests = listed.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(tests.map(String::from).collect())
}

fn belongs(test: &str, module: &str) -> bool {
    test.strip_prefix(module).is_some_and(|rest| rest.starts_with("::"))
}

/// The real page in a real browser, with the engine that a user gets and a model that software WebGPU can run.
fn page_in_a_browser() -> Outcome {
    let browser = needs::browser()?;
    let env = Needs { gpu: false, model: true }.meet()?;
    page::build()?;
    let small = small_model()?;
    let tests = web_tests(&root().join("tests/web"))?;
    // Two files at a time: most of a test is waiting for a page, and those that compute have one core each.
    let run = program("node", &["--test", "--test-concurrency=2"], NODE_HINT)
        .args(tests)
        .env("CHROMIUM", browser)
        .env("APPRENTICE_DIST", page::dist())
        .env("APPRENTICE_PACKAGE", package::pack()?)
        .env("APPRENTICE_SMALL_MODEL", small.join(SMALL_MODEL_FILE))
        .env("APPRENTICE_SMALL_SUITES", small.join(SMALL_SUITES));
    with_env(run, env).run()
}

/// The folder of the small model: the newest that the `unit` stage's tests made, or made now.
pub fn small_model() -> Outcome<PathBuf> {
    let made = std::fs::read_dir(root().join("target/small-model")).into_iter().flatten().flatten();
    let whole = made.map(|entry| entry.path()).filter(|path| path.join(SMALL_MODEL_FILE).exists());
    let age = |path: &PathBuf| path.metadata().and_then(|data| data.modified()).ok();
    let newest = whole.filter(|path| path.extension().is_none()).max_by_key(age);
    if let Some(folder) = newest {
        return Ok(folder);
    }
    let small = root().join("target/small");
    cargo(&SMALL_MODEL).args([&small]).run()?;
    Ok(small)
}

/// The test files, by name: what `node --test FOLDER` means differs between Node's versions.
fn web_tests(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut tests: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(".test.mjs"))
        .collect();
    tests.sort();
    if tests.is_empty() {
        return Err("tests/web has no file *.test.mjs".into());
    }
    Ok(tests)
}

fn with_env(run: Program, env: Vec<(&'static str, PathBuf)>) -> Program {
    env.into_iter().fold(run, |run, (key, value)| run.env(key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Stage = Stage { name: "good", run: || Ok(()) };
    const BAD: Stage = Stage { name: "bad", run: || Err("broken".into()) };

    #[test]
    fn every_module_with_a_stage_is_left_out_of_unit() {
        let others = ["fmt", "clippy", "unit", "page"];
        let staged: Vec<_> =
            STAGES.iter().map(|s| s.name).filter(|n| !others.contains(n)).collect();
        assert_eq!(staged, MODULES);
    }

    #[test]
    fn named_stages_run_in_the_fixed_order() {
        let names = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
            choose(&names.iter().collect::<Vec<_>>())
                .map(|chosen| chosen.iter().map(|stage| stage.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["tidy", "fmt"]).unwrap(), ["fmt", "tidy"]);
        assert_eq!(names(&[]).unwrap().len(), STAGES.len());
        assert!(names(&["tidy", "tidi"]).unwrap_err().contains("`tidi`"));
    }

    #[test]
    fn a_failure_is_an_error_and_ends_the_run_unless_told_to_go_on() {
        assert_eq!(run_all(&[&GOOD, &GOOD], false), Ok(()));
        assert_eq!(run_all(&[&BAD, &GOOD], true), Err("failed: bad".into()));
        assert_eq!(run_all(&[&BAD, &GOOD, &BAD], true), Err("failed: bad, bad".into()));
        assert_eq!(run_all(&[&BAD, &GOOD, &BAD], false), Err("failed: bad".into()));
    }

    #[test]
    fn a_test_belongs_to_its_module_only() {
        assert!(belongs("tidy::layers::floors", "tidy"));
        assert!(!belongs("learn_tidy::a", "tidy"));
        assert!(!belongs("tidyness::a", "tidy"));
    }

    #[test]
    fn a_folder_without_tests_fails() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("helper.mjs"), "").unwrap();
        assert!(web_tests(dir.path()).is_err());
        std::fs::write(dir.path().join("page.test.mjs"), "").unwrap();
        assert_eq!(web_tests(dir.path()).unwrap(), [dir.path().join("page.test.mjs")]);
    }
}
