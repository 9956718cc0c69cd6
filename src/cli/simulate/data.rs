//! What the simulated user has to teach: facts, a private code base and a person's notes, read from a folder.
//!
//! It knows no model and no schedule; `bench/learning/data/README.md` says what each file is. Invariant: what is read here is
//! whole, so a file that is missing or cut short ends the run before anything is taught.

use crate::error::Error;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::path::{Path, PathBuf};

/// A question that shares a fact's rare words and asks for something else.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Near {
    /// The question.
    pub prompt: String,
    /// Words that its answer must not hold.
    pub not: String,
}

/// A fact that the user corrects.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Fact {
    /// Its name.
    pub id: String,
    /// The question.
    pub prompt: String,
    /// The right answer.
    pub answer: String,
    /// The question in other words; never taught.
    #[serde(default)]
    pub rephrasings: Vec<String>,
    /// A question about something else.
    #[serde(default)]
    pub near: Option<Near>,
}

/// A note in the user's style.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Note {
    /// Its name.
    pub id: String,
    /// What was asked for.
    pub prompt: String,
    /// The note.
    pub answer: String,
}

/// A request for a note that is never taught.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Request {
    /// Its name.
    pub id: String,
    /// What is asked for.
    pub prompt: String,
}

/// A feature of a text that can be counted; one of the three is given.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Marker {
    /// Its name.
    pub name: String,
    /// The text begins so.
    pub starts: Option<String>,
    /// The text holds this.
    pub has: Option<String>,
    /// The text ends so.
    pub ends: Option<String>,
}

/// What a style always does, and what it never does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Markers {
    /// In every text of the style.
    pub always: Vec<Marker>,
    /// In none.
    pub never: Vec<Marker>,
}

/// A text with the name that a person knows it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The file's name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct Data {
    /// Facts, in the order in which they are taught.
    pub facts: Vec<Fact>,
    /// Files that are taught.
    pub code: Vec<SourceFile>,
    /// Files of the same house that are not.
    pub unseen_code: Vec<SourceFile>,
    /// Notes that are taught.
    pub notes: Vec<Note>,
    /// Requests that are not.
    pub requests: Vec<Request>,
    /// The style of the notes.
    pub markers: Markers,
}

/// Markers of one text: those of the style that are there, those that are not, and foreign ones that are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, Deserialize)]
pub struct Marked {
    /// True positives.
    pub found: usize,
    /// False negatives.
    pub missing: usize,
    /// False positives.
    pub foreign: usize,
}

impl Marker {
    /// Whether a text shows it, in any case.
    pub fn is_in(&self, text: &str) -> bool {
        let text = text.trim().to_lowercase();
        let lower = |part: &Option<String>| part.as_ref().map(|part| part.to_lowercase());
        lower(&self.starts).is_some_and(|part| text.starts_with(&part))
            || lower(&self.has).is_some_and(|part| text.contains(&part))
            || lower(&self.ends).is_some_and(|part| text.ends_with(&part))
    }
}

impl Markers {
    /// Counts a text's markers.
    pub fn count(&self, text: &str) -> Marked {
        let found = self.always.iter().filter(|marker| marker.is_in(text)).count();
        let foreign = self.never.iter().filter(|marker| marker.is_in(text)).count();
        Marked { found, missing: self.always.len() - found, foreign }
    }
}

impl Data {
    /// Reads the folder.
    pub fn read(folder: &Path) -> Result<Data, Error> {
        let data = Data {
            facts: lines(&folder.join("facts.jsonl"))?,
            code: sources(&folder.join("code/learn"))?,
            unseen_code: sources(&folder.join("code/unseen"))?,
            notes: lines(&folder.join("prose/learn.jsonl"))?,
            requests: lines(&folder.join("prose/unseen.jsonl"))?,
            markers: one(&folder.join("prose/markers.json"))?,
        };
        let parts = [
            ("facts", data.facts.len()),
            ("code to learn", data.code.len()),
            ("unseen code", data.unseen_code.len()),
            ("notes", data.notes.len()),
            ("unseen requests", data.requests.len()),
            ("markers", data.markers.always.len()),
        ];
        match parts.iter().find(|(_, n)| *n == 0) {
            Some((what, _)) => {
                Err(Error::Misuse(format!("{}: there are no {what} in it", folder.display())))
            }
            None => Ok(data),
        }
    }
}

fn text(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|error| Error::file(path, &error))
}

fn one<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    serde_json::from_str(&text(path)?).map_err(|error| Error::file(path, &error))
}

fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, Error> {
    let text = text(path)?;
    let parsed = text.lines().enumerate().map(|(index, line)| {
        let told = |error| format!("line {}: {error}", index + 1);
        serde_json::from_str(line).map_err(|error| Error::file(path, &told(error)))
    });
    parsed.collect()
}

/// The files of a folder, by name.
fn sources(folder: &Path) -> Result<Vec<SourceFile>, Error> {
    let entries = fs::read_dir(folder).map_err(|error| Error::file(folder, &error))?;
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(|error| Error::file(folder, &error))?.path());
    }
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(SourceFile { name, text: text(&path)? })
    };
    paths.into_iter().map(read).collect()
}
