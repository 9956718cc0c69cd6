//! The repository's own rules, checked as text: layers, the triple rule, essays, lengths, words that must not be.
//!
//! It knows nothing of what the code does. Invariant: each rule is a pure function from files to findings, so that a
//! test can plant a fault and see it found; the rules themselves collect all findings before they fail.

use std::fs;
use std::path::Path;

mod controls;
mod layers;
mod source;
mod text;

/// A file of the repository: its path from the root, with `/`, and its text.
pub struct File {
    pub path: String,
    pub text: String,
}

/// The repository's files in the named folders with the named extensions.
fn files(folders: &[&str], extensions: &[&str]) -> Vec<File> {
    let mut found = Vec::new();
    for folder in folders {
        walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), folder, &mut found);
    }
    found.retain(|file: &File| extensions.iter().any(|ext| file.path.ends_with(ext)));
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn walk(folder: &Path, name: &str, found: &mut Vec<File>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = format!("{name}/{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && !path.ends_with("/node_modules") {
            walk(&entry.path(), &path, found);
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            found.push(File { path, text });
        }
    }
}

/// Runs a rule over files; fails with every finding, or when there was nothing to look at.
#[track_caller]
fn check(files: &[File], rule: impl Fn(&[File]) -> Vec<String>) {
    assert!(!files.is_empty(), "the rule looked at no file");
    let findings = rule(files);
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

fn rust() -> Vec<File> {
    files(&["src", "tests", "xtask/src"], &[".rs"])
}

fn sources() -> Vec<File> {
    let mut all = rust();
    all.extend(files(&["shaders"], &[".wgsl"]));
    all.extend(files(&["www/src", "tests/web"], &[".ts", ".mjs"]));
    all
}

#[test]
fn a_layer_uses_only_lower_floors() {
    check(&files(&["src"], &[".rs"]), layers::floors);
}

#[test]
fn files_of_a_layer_import_each_other_in_no_circle() {
    check(&files(&["src"], &[".rs"]), layers::circles);
}

#[test]
fn every_shader_has_its_wrapper_and_its_twin() {
    check(&files(&["src/kernels", "shaders"], &[".rs", ".wgsl"]), layers::triples);
}

#[test]
fn every_file_opens_with_its_essay() {
    check(&sources(), text::essays);
}

#[test]
fn files_are_short() {
    check(&sources(), text::lengths);
}

#[test]
fn nothing_is_left_undone_or_switched_off() {
    check(&sources(), text::words);
}

#[test]
fn every_allow_has_a_reason() {
    check(&rust(), text::allows);
}

#[test]
fn functions_are_short() {
    check(&rust(), text::functions);
}
