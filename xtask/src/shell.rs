//! Running other programs from the repository's root, and the one error type of the tasks.
//!
//! It knows nothing of what the programs do. Invariant: a program that is missing or fails becomes an `Err` that
//! names it; no exit code is dropped.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a task ends with: the error is one line for a person, with what to do about it.
pub type Outcome<T = ()> = Result<T, String>;

/// The repository's root: cargo knows where this crate lies.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the repository").to_path_buf()
}

/// A program about to run in the repository's root.
pub struct Program {
    name: String,
    command: Command,
    hint: &'static str,
}

/// `name args…`; `hint` is what to install when there is no such program.
pub fn program(name: &str, args: &[&str], hint: &'static str) -> Program {
    let mut command = Command::new(name);
    command.args(args).current_dir(root());
    Program { name: name.into(), command, hint }
}

/// `cargo args…`, the cargo that runs this task.
pub fn cargo(args: &[&str]) -> Program {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    program(&cargo, args, "install Rust from https://rustup.rs")
}

impl Program {
    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Runs in another folder.
    pub fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Runs to the end; what it prints goes where ours goes.
    pub fn run(mut self) -> Outcome {
        let status = self.command.status().map_err(|e| self.cannot_start(&e))?;
        if status.success() { Ok(()) } else { Err(self.failed(&status.to_string())) }
    }

    /// Like `run`, but all that it prints goes to stderr, so that our stdout stays a result.
    pub fn run_to_stderr(mut self) -> Outcome {
        self.command.stdout(Stdio::from(io::stderr()));
        self.run()
    }

    /// Runs to the end and returns what it printed on stdout; its stderr goes where ours goes.
    pub fn read(mut self) -> Outcome<String> {
        self.command.stderr(Stdio::inherit());
        let output = self.command.output().map_err(|e| self.cannot_start(&e))?;
        if !output.status.success() {
            return Err(self.failed(&output.status.to_string()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn cannot_start(&self, error: &io::Error) -> String {
        match error.kind() {
            io::ErrorKind::NotFound => format!("there is no `{}` here; {}", self.name, self.hint),
            _ => format!("cannot start `{}`: {error}", self.name),
        }
    }

    fn failed(&self, status: &str) -> String {
        let shown: Vec<_> = self.command.get_args().map(OsStr::to_string_lossy).collect();
        let name = Path::new(&self.name).file_name().unwrap_or_default().to_string_lossy();
        format!("`{name} {}` ended with {status}", shown.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_told_with_its_hint() {
        let error = program("no-such-program-here", &[], "install it").run().unwrap_err();
        assert_eq!(error, "there is no `no-such-program-here` here; install it");
    }

    #[test]
    fn a_failing_program_is_an_error() {
        assert!(cargo(&["--version"]).read().unwrap().starts_with("cargo "));
        let error = cargo(&["no-such-subcommand"]).read().unwrap_err();
        assert!(error.contains("no-such-subcommand"), "{error}");
    }
}
