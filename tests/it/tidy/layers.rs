//! The rules about who uses whom: floors, no circles inside a layer, and the triple of shader, wrapper and twin.
//!
//! It knows nothing of the compiler's view: it reads the paths that begin with `crate::` or `super::`. Invariant:
//! a layer that the table of floors does not name is itself a finding, so that no folder escapes.

use std::collections::{BTreeMap, BTreeSet};

use super::File;
use super::source::{code, paths};

/// The floors of the design; `error` is apart, since it wraps every layer's error and only faces use it.
const FLOORS: [(&str, u32); 11] = [
    ("quant", 2),
    ("device", 2),
    ("store", 2),
    ("tensor", 3),
    ("kernels", 4),
    ("format", 4),
    ("model", 5),
    ("train", 6),
    ("learn", 7),
    ("cli", 8),
    ("web", 8),
];
/// The faces' floor.
const FACES: u32 = 8;

/// A layer uses only layers on lower floors; `src/lib.rs`, `src/main.rs` and `src/error.rs` may name any.
pub fn floors(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files {
        let Some(layer) = layer_of(&file.path) else { continue };
        let Some(floor) = floor_of(layer) else {
            findings.push(format!("{}: layer `{layer}` has no floor", file.path));
            continue;
        };
        for (line, path) in paths(&code(&file.text), "crate::") {
            let used = path.split("::").next().unwrap_or_default();
            let allowed = match used {
                "error" | "Error" | "Result" => floor == FACES,
                _ => used == layer || floor_of(used).is_some_and(|lower| lower < floor),
            };
            if !allowed {
                let path = &file.path;
                findings.push(format!("{path}:{line}: `{layer}` must not use `crate::{used}`"));
            }
        }
    }
    findings
}

/// The layer of a file in `src/`; `None` for the files that may name every layer.
fn layer_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let exempt = matches!(inside, "lib.rs" | "main.rs" | "error.rs");
    let layer = inside.split('/').next()?;
    (!exempt).then(|| layer.strip_suffix(".rs").unwrap_or(layer))
}

fn floor_of(layer: &str) -> Option<u32> {
    FLOORS.iter().find(|(name, _)| *name == layer).map(|(_, floor)| *floor)
}

/// Files of one layer import each other in no circle.
///
/// A `mod.rs` that declares its children and passes on their items (`pub use child::Item`) is no import; only paths
/// that begin with `crate::`, `super::` or `self::` are. Test modules' `super::` is the file itself and is left out.
pub fn circles(files: &[File]) -> Vec<String> {
    let modules: BTreeSet<String> = files.iter().map(|file| module_of(&file.path)).collect();
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files.iter().filter(|file| layer_of(&file.path).is_some()) {
        let own = module_of(&file.path);
        let uses = imports(&code(&file.text), &own);
        let used = uses.iter().filter_map(|path| longest_module(path, &modules));
        let same_layer = |other: &String| *other != own && layer(other) == layer(&own);
        let used: BTreeSet<String> = used.filter(same_layer).collect();
        graph.entry(own).or_default().extend(used);
    }
    let mut findings = Vec::new();
    while let Some(circle) = find_circle(&graph) {
        findings.push(format!("circle: {}", circle.join(" -> ")));
        // One arc is taken out, so that the next circle is found too.
        graph.get_mut(&circle[0]).unwrap().remove(&circle[1]);
    }
    findings
}

/// `src/learn/gate.rs` is `learn::gate`, `src/learn/mod.rs` is `learn`.
fn module_of(path: &str) -> String {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    let inside = inside.strip_suffix(".rs").unwrap_or(inside);
    inside.strip_suffix("/mod").unwrap_or(inside).replace('/', "::")
}

fn layer(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

/// The imported paths from the crate's root. `super::` of an inline module is read as the file's own parent or the
/// file itself; both are looked up, and a file's use of itself is dropped.
fn imports(code: &str, own: &str) -> Vec<String> {
    let mut found: Vec<String> = paths(code, "crate::").into_iter().map(|(_, path)| path).collect();
    let parent = own.rsplit_once("::").map_or("", |(parent, _)| parent);
    let outside = code.split("mod tests {").next().unwrap_or_default();
    for (_, path) in paths(outside, "super::") {
        let (mut base, mut rest) = (parent, path.as_str());
        while let Some(up) = rest.strip_prefix("super::") {
            base = base.rsplit_once("::").map_or("", |(parent, _)| parent);
            rest = up;
        }
        found.push(if base.is_empty() { rest.into() } else { format!("{base}::{rest}") });
    }
    for (_, path) in paths(outside, "self::") {
        found.push(format!("{own}::{path}"));
    }
    found
}

fn longest_module(path: &str, modules: &BTreeSet<String>) -> Option<String> {
    let mut path = path.trim_end_matches("::*").to_string();
    loop {
        if modules.contains(&path) {
            return Some(path);
        }
        path = path.rsplit_once("::")?.0.to_string();
    }
}

fn find_circle(graph: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    graph.keys().find_map(|start| visit(graph, start, &mut Vec::new(), &mut done))
}

fn visit(
    graph: &BTreeMap<String, BTreeSet<String>>,
    node: &str,
    trail: &mut Vec<String>,
    done: &mut BTreeSet<String>,
) -> Option<Vec<String>> {
    if let Some(at) = trail.iter().position(|seen| seen == node) {
        return Some(trail[at..].iter().cloned().chain([node.to_string()]).collect());
    }
    if !done.insert(node.to_string()) {
        return None;
    }
    trail.push(node.to_string());
    let found = graph.get(node)?.iter().find_map(|next| visit(graph, next, trail, done));
    trail.pop();
    found
}

/// The shaders are those that `src/kernels` includes, and each file that includes one has its CPU twin.
pub fn triples(files: &[File]) -> Vec<String> {
    let shaders: BTreeSet<&str> = files.iter().filter_map(|file| shader(&file.path)).collect();
    let mut included = BTreeSet::new();
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with("src/kernels/")) {
        let stems = included_shaders(&file.text);
        let twin = code(&file.text);
        let has_twin = twin.contains("cpu:") || twin.contains("fn cpu(");
        if !stems.is_empty() && !has_twin {
            findings.push(format!("{}: a kernel without a CPU twin (`cpu:`)", file.path));
        }
        included.extend(stems);
    }
    if shaders.is_empty() {
        findings.push("there is no shader: the rule looked in the wrong place".into());
    }
    for missing in included.difference(&shaders) {
        findings.push(format!("shaders/{missing}.wgsl: included in src/kernels but not there"));
    }
    for orphan in shaders.difference(&included) {
        findings.push(format!("shaders/{orphan}.wgsl: no file of src/kernels includes it"));
    }
    findings
}

fn shader(path: &str) -> Option<&str> {
    let stem = path.strip_prefix("shaders/")?.strip_suffix(".wgsl")?;
    (!stem.starts_with("common/")).then_some(stem)
}

fn included_shaders(text: &str) -> BTreeSet<&str> {
    let parts = text.split("/shaders/").skip(1);
    let stems = parts.filter_map(|part| part.split_once(".wgsl\")").map(|(stem, _)| stem));
    stems.filter(|stem| !stem.starts_with("common/") && !stem.contains(['"', '\n'])).collect()
}
