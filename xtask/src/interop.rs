//! `cargo xtask interop`: our adapters in PEFT and llama.cpp and theirs in ours, as one table.
//!
//! It knows nothing of what is compared: `bench/interop/run.py` makes its environments and prints the table. Invariant: the
//! engine compared is the one of this tree, in release mode.

use crate::model;
use crate::shell::{Outcome, cargo, program, root};

const PYTHON_HINT: &str =
    "install Python 3 with pip and venv (Debian: apt-get install python3 python3-venv)";

/// Runs the comparison; `args` go to the script.
pub fn run(args: &[String]) -> Outcome {
    let model = model::ensure(None)?;
    cargo(&["build", "--release", "--bin", "apprentice"]).run_to_stderr()?;
    let script = root().join("bench/interop/run.py");
    program("python3", &[], PYTHON_HINT)
        .args([script.as_os_str(), "--model".as_ref(), model.as_os_str()])
        .args(args)
        .run()
}
