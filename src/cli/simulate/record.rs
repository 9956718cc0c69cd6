//! The results of a run: a file of JSON lines, a header and one line a cycle, that a run goes on from.
//!
//! It knows no learner. Invariants: a line is on the medium before the next cycle begins; what a crash left of a line is
//! dropped; what depends on a clock or on the machine is in `spent` alone, so that a continued run gives the same lines but
//! for that.

use super::arm::Arm;
use super::exam::Exam;
use crate::error::Error;
use crate::learn::gate::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What a run is; a file is continued only by the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The recipe.
    pub arm: Arm,
    /// What is taught.
    pub stream: String,
    /// Seed of the schedule, of sampling and of training.
    pub seed: u64,
    /// sha256 of the base model's file.
    pub base_hash: String,
    /// Its name.
    pub model: String,
    /// The device.
    pub device: String,
    /// Cycles between two whole examinations.
    pub every: usize,
    /// Learning rate, where it is not the recipe's.
    pub lr: Option<f32>,
    /// Most steps of a cycle, where they are not the arm's.
    pub steps: Option<usize>,
    /// Fields of a cycle's options, where they are not the arm's.
    #[serde(default)]
    pub change: Option<serde_json::Value>,
}

/// One cycle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Its number; 0 is the base model before the first day.
    pub cycle: usize,
    /// What the day brought: `facts`, `code`, `notes`, or nothing.
    pub day: String,
    /// The gate's word; none where there was nothing to learn.
    pub verdict: Option<Verdict>,
    /// Its reason.
    pub reason: String,
    /// Examples that the cycle taught, and those of them that the candidate says.
    pub taught: [usize; 2],
    /// Share of the way to the candidate that was decided on.
    pub scale: f32,
    /// Examples that wait, that were set aside, and that are promoted.
    pub pending: usize,
    /// See `pending`.
    pub given_up: usize,
    /// See `pending`.
    pub promoted: usize,
    /// Of a sample of promoted facts: asked, and still said.
    pub kept: [usize; 2],
    /// HEAD after the cycle.
    pub head: Option<String>,
    /// The last line of the learner's journal.
    pub journal: u64,
    /// Versions that the learner has.
    pub versions: usize,
    /// Euclidean norm of HEAD's adapter.
    pub norm: f64,
    /// The whole examination, at its cycles.
    pub exam: Option<Exam>,
    /// What it took.
    pub spent: Spent,
}

/// What a cycle took of the machine; not the same twice.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// The cycle, without examinations of ours.
    pub seconds: f64,
    /// Its phases.
    pub phases: BTreeMap<String, f64>,
    /// Our examinations.
    pub exam_seconds: f64,
    /// Bytes of the home folder.
    pub home_bytes: u64,
    /// Most memory that the process ever had, bytes; 0 where the system does not say.
    pub peak_bytes: u64,
    /// Milliseconds a decoded token: the base model, HEAD, and the median of the ratios of pairs.
    pub latency_ms: Option<[f64; 3]>,
}

/// The file.
pub struct Results {
    file: File,
    path: PathBuf,
    lines: Vec<Line>,
}

impl Results {
    /// Opens the file for the run of `header`; what is in it must be of the same run.
    pub fn open(path: &Path, header: &Header) -> Result<Results, Error> {
        let told = |error: std::io::Error| Error::file(path, &error);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(told)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).map_err(told)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(told)?;
        // A crash can leave a line without its end.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut given = text[..whole].lines();
        let mut lines = Vec::new();
        if let Some(first) = given.next() {
            let found: Option<Header> = serde_json::from_str(first).ok();
            if found.as_ref() != Some(header) {
                let text =
                    "holds the results of another run; give another --out, or the same options";
                return Err(Error::file(path, &text));
            }
            for (index, line) in given.enumerate() {
                let told = |error| Error::file(path, &format!("line {}: {error}", index + 2));
                lines.push(serde_json::from_str(line).map_err(told)?);
            }
        }
        file.set_len(whole as u64).map_err(told)?;
        file.seek(SeekFrom::End(0)).map_err(told)?;
        let mut results = Results { file, path: path.into(), lines };
        if whole == 0 {
            results.append(header)?;
        }
        Ok(results)
    }

    /// The lines so far.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Adds a line; durable on return.
    pub fn push(&mut self, line: Line) -> Result<(), Error> {
        self.append(&line)?;
        self.lines.push(line);
        Ok(())
    }

    fn append(&mut self, value: &impl Serialize) -> Result<(), Error> {
        let mut text = serde_json::to_string(value).map_err(|e| Error::file(&self.path, &e))?;
        text.push('\n');
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| Error::file(&self.path, &error))
    }
}
