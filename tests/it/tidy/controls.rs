//! Proof that each rule can fail: a fault is planted in a small tree of texts, and the rule must report it.
//!
//! It knows nothing of the repository's files. Invariant: each case also has a clean twin that the rule must pass,
//! so that a rule that reports everything is caught as well.

use super::source::{code, paths};
use super::{File, check, layers, text};

fn file(path: &str, text: &str) -> File {
    File { path: path.into(), text: text.into() }
}

/// The rule passes `clean` and reports `count` findings, each with `told`, for `planted`.
#[track_caller]
fn catches(
    rule: impl Fn(&[File]) -> Vec<String>,
    clean: &[(&str, &str)],
    planted: &[(&str, &str)],
    told: &[&str],
) {
    let tree = |files: &[(&str, &str)]| files.iter().map(|(p, t)| file(p, t)).collect::<Vec<_>>();
    assert_eq!(rule(&tree(clean)), Vec::<String>::new(), "the clean twin");
    let findings = rule(&tree(planted));
    assert_eq!(findings.len(), told.len(), "{findings:?}");
    for (finding, told) in findings.iter().zip(told) {
        assert!(finding.contains(told), "{finding} does not tell {told}");
    }
}

#[test]
fn a_use_of_an_upper_floor_is_caught() {
    let clean = [
        (
            "src/model/a.rs",
            "use crate::{kernels::x, tensor::T};\n// crate::train is above\nlet s = \"crate::train\";",
        ),
        ("src/lib.rs", "pub use crate::train::T;"),
        ("src/cli/mod.rs", "use crate::error::Error;"),
    ];
    let planted = [
        ("src/model/a.rs", "use crate::{kernels::x,\n    train::Y};"),
        ("src/kernels/b.rs", "fn f() { crate::format::gguf::open() }"),
        ("src/format/c.rs", "use crate::error::Error;"),
        ("src/extra/d.rs", ""),
    ];
    let told = [
        "a.rs:1: `model` must not use `crate::train`",
        "crate::format",
        "crate::error",
        "no floor",
    ];
    catches(layers::floors, &clean, &planted, &told);
}

#[test]
fn a_circle_inside_a_layer_is_caught() {
    let clean = [
        ("src/learn/mod.rs", "pub mod a; pub mod b;"),
        ("src/learn/a.rs", "use super::b::B;\nmod tests { use super::*; }"),
        ("src/learn/b.rs", "use crate::model::a;"),
        ("src/model/a.rs", "// use crate::learn::b;"),
    ];
    let planted = [
        ("src/learn/mod.rs", "pub mod a; pub mod b; pub mod c;"),
        ("src/learn/a.rs", "use super::b::B;"),
        ("src/learn/b.rs", "use super::{d, c::C};"),
        ("src/learn/c.rs", "use crate::learn::a::A;"),
    ];
    catches(layers::circles, &clean, &planted, &["learn::a -> learn::b -> learn::c -> learn::a"]);
}

#[test]
fn a_shader_without_its_kernel_or_twin_is_caught() {
    let kernel = "wgsl: include_str!(\"../../shaders/add.wgsl\"), cpu: add,";
    let bare = "wgsl: include_str!(\"../../shaders/mul.wgsl\"), // cpu: none";
    let shader = ("shaders/add.wgsl", "");
    let clean = [("src/kernels/add.rs", kernel), shader, ("shaders/common/reduce.wgsl", "")];
    let planted = [("src/kernels/mul.rs", bare), shader];
    let told = ["CPU twin", "shaders/mul.wgsl: included", "shaders/add.wgsl: no file"];
    catches(layers::triples, &clean, &planted, &told);
    catches(layers::triples, &clean, &[("src/kernels/mod.rs", "")], &["no shader"]);
}

#[test]
fn a_missing_essay_is_caught() {
    let words = "what it is, what it knows nothing about, and one invariant that always holds here";
    let rust = format!("//! {words}\nfn f() {{}}");
    let script = format!("#!/usr/bin/env node\n/**\n * {words}\n */\nf();");
    let clean = [("a.rs", rust.as_str()), ("b.mjs", &script), ("c.wgsl", &rust)];
    let plain = format!("// {words}");
    let planted = [("a.rs", plain.as_str()), ("b.ts", "/** Short. */"), ("c.wgsl", "struct P {}")];
    catches(text::essays, &clean, &planted, &["a.rs", "b.ts", "c.wgsl"]);
}

#[test]
fn a_long_file_is_caught() {
    let (full, over) = ("x\n".repeat(400), "x\n".repeat(401));
    catches(text::lengths, &[("a.rs", &full)], &[("a.rs", &over)], &["401 lines"]);
}

#[test]
fn work_left_undone_is_caught() {
    let planted = [
        concat!("// TO", "DO: later\nx"),
        concat!("x\nto", "do!()"),
        concat!("unimpl", "emented!()"),
        concat!("#[ign", "ore = \"slow\"]"),
        concat!("#[should_", "panic]"),
    ];
    for fault in planted {
        catches(text::words, &[("a.rs", "// to do things")], &[("a.rs", fault)], &["a.rs:"]);
    }
}

#[test]
fn an_allow_without_a_reason_is_caught() {
    let clean = "#[allow(\n    dead_code,\n    reason = \"x\"\n)]\nlet s = \"#[allow(x)]\";";
    let planted = "#![allow(dead_code)]\n#[expect(unused)]";
    catches(text::allows, &[("a.rs", clean)], &[("a.rs", planted)], &["a.rs:1", "a.rs:2"]);
}

#[test]
fn a_long_function_is_caught() {
    let body = |lines: usize| {
        format!("trait T {{ fn g(x: [u8; 4]); }}\nfn f() {{\n{}}}", "{ }\n".repeat(lines))
    };
    let (full, over) = (body(68), body(69));
    catches(text::functions, &[("a.rs", &full)], &[("a.rs", &over)], &["a.rs:2: `f` has 71 lines"]);
}

#[test]
fn a_rule_that_looked_at_nothing_fails() {
    let passed = std::panic::catch_unwind(|| check(&[], |_| Vec::new())).is_ok();
    let reported = std::panic::catch_unwind(|| check(&[file("a", "")], |_| vec!["x".into()]));
    assert!(!passed && reported.is_err());
}

#[test]
fn comments_and_literals_are_no_code() {
    let source = "a /* { /* } */ \n */ b \"{ \\\" {\" r#\"\"{\"# '{' '\\'' 'x 'y, br\"{\" // {\nc";
    let kept: String = code(source).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(kept, "a b 'x 'y, b c");
    assert_eq!(code(source).lines().count(), source.lines().count());
}

#[test]
fn trees_of_paths_are_spelled_out() {
    let found =
        paths("use crate::{a::{b, c::D}, e as f, g::*};\ncrate::h::i(x) mycrate::j", "crate::");
    let paths: Vec<&str> = found.iter().map(|(_, path)| path.as_str()).collect();
    assert_eq!(paths, ["a::b", "a::c::D", "e", "as", "f", "g::*", "h::i"]);
    assert_eq!(found.last().unwrap().0, 2);
}
