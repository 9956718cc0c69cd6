//! `cargo xtask`: what a person types to fetch the model, see the page, and run every test.
//!
//! It knows nothing of the engine's inside: it calls cargo, npm, pip and node as a person would, and serves files.
//! Invariant: whatever stops it is told in one line that says what to do, and the exit code is then not 0.

mod bench;
mod interop;
mod learning;
mod licences;
mod model;
mod needs;
mod package;
mod page;
mod serve;
mod shell;
// The command's own file: what `apprentice serve` says of the page, `cargo xtask serve` says too.
#[path = "../../src/cli/serve/site.rs"]
mod site;
mod stages;

use std::process::ExitCode;

use shell::Outcome;

const HELP: &str = "\
cargo xtask COMMAND

  model [MODEL.gguf]           fetch the default model once (or check a file of yours); prints its path
  serve [MODEL.gguf] [--port N] build the page and serve it, with the model, on 127.0.0.1
  test [STAGE...] [--keep-going] run every test, or the stages named
  check                        the stages that need no GPU and no model: fmt, clippy, shaders, tidy
  page                         build the page and its engine, into www/dist
  package                      build the npm package, into target/package; prints the tarball's path
  bench [ARGS...]              `apprentice bench` in release mode; the result goes to bench/results/
  interop [--prebuilt] [ARGS]  our adapters in PEFT and llama.cpp and theirs in ours: the same logits, as a table
  interop openai [ARGS]        the official `openai` client against `apprentice serve`: chat, streams, models, feedback
  learning [--cycles N] [--arms A,...] a simulated user over 100 cycles, with our recipe and the peers'; goes on where it
                               stopped. --drift N: changing facts on the small model. --report: only table and plot

Stages, in order: fmt clippy shaders tidy unit kernels gradients golden learning simulate crash page
Environment: APPRENTICE_MODEL (a GGUF instead of the default one), APPRENTICE_GPU=hardware (test on the GPU
at hand instead of Mesa's software Vulkan), VK_DRIVER_FILES (that driver), CHROMIUM (that browser)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Outcome {
    let (command, rest) = args.split_first().ok_or(HELP)?;
    match command.as_str() {
        "model" => {
            println!("{}", model::ensure(at_most_one(rest)?)?.display());
            Ok(())
        }
        "serve" => serve_page(rest),
        "test" => stages::test(rest),
        "check" if rest.is_empty() => {
            stages::test(&["fmt", "clippy", "shaders", "tidy"].map(String::from))
        }
        "page" if rest.is_empty() => page::build(),
        "package" if rest.is_empty() => {
            println!("{}", package::build()?.display());
            Ok(())
        }
        "bench" => bench::run(rest),
        "interop" => interop::run(rest),
        "learning" => learning::run(rest),
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(())
        }
        other => Err(format!("no command `{other}` with these arguments; see `cargo xtask help`")),
    }
}

fn serve_page(args: &[String]) -> Outcome {
    let mut port = None;
    let mut paths = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let number = match arg.strip_prefix("--port") {
            Some("") => rest.next().map(String::as_str),
            Some(joined) => joined.strip_prefix('='),
            None if arg.starts_with('-') => return Err(format!("no option `{arg}` of serve")),
            None => {
                paths.push(arg.clone());
                continue;
            }
        };
        let number = number.and_then(|n| n.parse::<u16>().ok());
        port = Some(number.ok_or("--port wants a number up to 65535")?);
    }
    let model = model::ensure(at_most_one(&paths)?)?;
    page::build()?;
    let site = site::Site::new(page::dist(), &model, &model::sha256(&model)?);
    let told = |error| format!("cannot read {}: {error}", model.display());
    serve::serve(site.map_err(told)?, port)
}

fn at_most_one(args: &[String]) -> Result<Option<&str>, String> {
    match args {
        [] => Ok(None),
        [path] => Ok(Some(path)),
        _ => Err("one MODEL.gguf at most".into()),
    }
}
