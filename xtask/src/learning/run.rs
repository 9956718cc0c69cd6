//! A run's results as the engine wrote them: a header, then a line a cycle.
//!
//! It knows the fields that are compared and nothing of how they were measured. Invariant: a file without a whole first
//! examination is an error, since nothing could be compared with it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::shell::Outcome;

/// A run.
pub struct Run {
    /// Its arm.
    pub arm: String,
    /// What it is.
    pub header: Value,
    /// Its cycles, the base model's first.
    pub lines: Vec<Value>,
}

impl Run {
    /// Reads a file; a torn last line is left out.
    pub fn read(path: &Path) -> Outcome<Run> {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let parsed = whole.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
        let mut lines = parsed.map_err(|e| format!("{}: {e}", path.display()))?;
        if lines.len() < 2 || lines[1]["exam"].is_null() {
            return Err(format!("{}: it has no first examination yet", path.display()));
        }
        let header = lines.remove(0);
        let arm = header["arm"].as_str().unwrap_or("unknown").to_string();
        Ok(Run { arm, header, lines })
    }

    /// The cycles that end with a whole examination.
    pub fn exams(&self) -> impl DoubleEndedIterator<Item = &Value> {
        self.lines.iter().filter(|line| !line["exam"].is_null())
    }

    /// The examination of the base model, and the last.
    pub fn ends(&self) -> (&Value, &Value) {
        (&self.lines[0], self.exams().next_back().unwrap_or(&self.lines[0]))
    }
}

/// A number of a line; NaN where there is none.
pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// A list of yes and no.
pub fn bits(value: &Value) -> Vec<bool> {
    value.as_array().into_iter().flatten().map(|bit| bit == true).collect()
}

/// A list of numbers.
pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().into_iter().flatten().map(number).collect()
}

/// The share of yes.
pub fn share(bits: &[bool]) -> f64 {
    bits.iter().filter(|bit| **bit).count() as f64 / bits.len() as f64
}

/// F1 of markers that were found, were missing, or are foreign, over some of the notes.
pub fn f1(notes: &[Value], at: &[usize]) -> f64 {
    let sum = |key: &str| at.iter().map(|&i| number(&notes[i][key])).sum::<f64>();
    let found = 2.0 * sum("found");
    found / (found + sum("missing") + sum("foreign"))
}

/// The share of next tokens that were the likeliest, over some of the files.
pub fn top1(files: &[Value], at: &[usize]) -> f64 {
    let sum = |k: usize| at.iter().map(|&i| number(&files[i][k])).sum::<f64>();
    sum(0) / sum(1)
}

/// The items of a list.
pub fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
