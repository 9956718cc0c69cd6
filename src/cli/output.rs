//! What goes where: JSON alone on standard output, words for a person otherwise; progress on standard error.

use crate::error::Error;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// Prints one JSON object on a line of its own.
pub fn json(value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string(value).map_err(|error| Error::Output(error.to_string()))?;
    line(&text)
}

/// Prints a line; a reader that went away (a closed pipe) is an error, not a panic.
pub fn line(text: &str) -> Result<(), Error> {
    writeln!(std::io::stdout(), "{text}").map_err(|error| Error::Output(error.to_string()))
}

/// Prints text as it is and shows it at once.
pub fn text(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout();
    let written = write!(out, "{text}").and_then(|()| out.flush());
    written.map_err(|error| Error::Output(error.to_string()))
}

/// A bar of bytes on a terminal, nothing elsewhere.
pub fn byte_bar(what: &'static str) -> ProgressBar {
    bar(what, "{msg:10} {bar:30} {bytes}/{total_bytes}")
}

/// A bar of steps on a terminal, nothing elsewhere.
pub fn step_bar() -> ProgressBar {
    bar("", "{bar:30} {pos}/{len} {msg}")
}

fn bar(what: &'static str, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style).with_message(what)
}
