//! `cargo xtask interop`: our adapters in PEFT and llama.cpp and theirs in ours, as one table; `interop openai`: the
//! official client against our server.
//!
//! It knows nothing of what is compared: the scripts of `bench/interop/` make their environments and print. Invariant: the
//! engine compared is the one of this tree, in release mode.

use crate::model;
use crate::shell::{Outcome, cargo, program, root};

const PYTHON_HINT: &str =
    "install Python 3 with pip and venv (Debian: apt-get install python3 python3-venv)";

/// Runs the comparison that is asked for; the rest of `args` goes to its script.
pub fn run(args: &[String]) -> Outcome {
    let (script, args) = match args.split_first() {
        Some((first, rest)) if first == "openai" => ("bench/interop/with_openai.py", rest),
        _ => ("bench/interop/run.py", args),
    };
    let model = model::ensure(None)?;
    cargo(&["build", "--release", "--bin", "apprentice"]).run_to_stderr()?;
    let script = root().join(script);
    program("python3", &[], PYTHON_HINT)
        .args([script.as_os_str(), "--model".as_ref(), model.as_os_str()])
        .args(args)
        .run()
}
