//! Files of JSON lines: results that a stopped run goes on from, and what is read in the same form.
//!
//! It knows no fields. Invariant: a line that was appended is on the disk before the next result is made.

use crate::error::Error;
use serde::Serialize;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

/// A file's text.
pub fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|error| Error::file(path, &error))
}

/// The values of a text's lines; empty lines are none. `what` names it in errors.
pub fn parse<T: serde::de::DeserializeOwned>(text: &str, what: &str) -> Result<Vec<T>, Error> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parsed = lines.map(|(index, line)| {
        let wrong = |error| Error::Misuse(format!("{what}, line {}: {error}", index + 1));
        serde_json::from_str(line).map_err(wrong)
    });
    parsed.collect()
}

/// Appends a line, durably, so that a stopped run loses nothing that was done.
pub fn append<T: Serialize>(path: &Path, outcome: &T) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::file(path, &error);
    let line = serde_json::to_string(outcome).map_err(|error| Error::Output(error.to_string()))?;
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
    writeln!(file, "{line}").map_err(failed)?;
    file.sync_all().map_err(failed)
}
