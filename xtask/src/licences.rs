//! The licences of the crates that the engine's WebAssembly module holds, as one text beside it.
//!
//! It asks cargo which crates those are, and reads their licence files from cargo's own copies. Invariant: every crate of
//! the module is named with its version and its licence; texts that several share are there once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::shell::{Outcome, cargo};

/// Between two parts of the text.
const LINE: &str =
    "\n\n--------------------------------------------------------------------------------\n\n";

/// The text for the crates that `target` links.
pub fn text(target: &str) -> Outcome<String> {
    let linked = cargo(&["tree", "--target", target, "--edges", "normal,no-proc-macro"]);
    let linked = linked.args(["--package", "apprentice", "--prefix", "none", "--format", "{p}"]);
    let linked: BTreeSet<String> = linked.read()?.lines().filter_map(name_of).collect();
    let metadata = cargo(&["metadata", "--format-version", "1", "--filter-platform", target]);
    let metadata: Value =
        serde_json::from_str(&metadata.read()?).map_err(|e| format!("cargo metadata: {e}"))?;
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut named = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let field = |name: &str| package[name].as_str().unwrap_or_default();
        let name = format!("{} {}", field("name"), field("version"));
        if field("name") == "apprentice" || !linked.contains(&name) {
            continue;
        }
        let folder = Path::new(field("manifest_path")).parent().unwrap_or(Path::new("."));
        for text in files(folder)? {
            texts.entry(text).or_default().insert(name.clone());
        }
        named.push(format!("{name} ({})", field("license")));
    }
    named.sort();
    let head = "The engine, a WebAssembly module, holds these crates, each under its own licence, and Rust's standard \
                library (MIT OR Apache-2.0). Where a choice is given, Apache-2.0 is taken. The texts that came with them follow.";
    let mut parts = vec![format!("{head}\n\n{}", named.join("\n"))];
    parts.extend(texts.into_iter().map(|(text, of)| {
        let of: Vec<String> = of.into_iter().collect();
        format!("{}:\n\n{text}", of.join(", "))
    }));
    Ok(parts.join(LINE) + "\n")
}

/// `name version` of a line of cargo's tree: `name v1.2.3 (…)`.
fn name_of(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let (name, version) = (words.next()?, words.next()?);
    Some(format!("{name} {}", version.strip_prefix('v')?))
}

/// A crate's licence files.
fn files(folder: &Path) -> Outcome<Vec<String>> {
    let told = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).map_err(told)? {
        let entry = entry.map_err(told)?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        let is_licence = ["licen", "copying", "notice"].iter().any(|word| name.starts_with(word));
        if is_licence && entry.file_type().map_err(told)?.is_file() {
            let text = fs::read(entry.path()).map_err(told)?;
            let text = String::from_utf8_lossy(&text).replace("\r\n", "\n");
            texts.push(text.trim().to_string());
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_tree_names_a_crate() {
        assert_eq!(name_of("idna v1.2.3 (*)").as_deref(), Some("idna 1.2.3"));
        assert_eq!(name_of("apprentice v0.1.0 (/somewhere)").as_deref(), Some("apprentice 0.1.0"));
        assert_eq!(name_of(""), None);
    }
}
