//! The rules about the text itself: essays, lengths, words that must not be, reasons, the length of functions.
//!
//! It knows nothing of layers. Invariant: a finding names the file, and the line where there is one.

use super::File;
use super::source::code;

/// Most lines of a file.
const LINES_MAX: usize = 400;
/// Most lines of a function, its signature and closing brace included.
const FUNCTION_LINES_MAX: usize = 70;
/// Fewest characters of a file's opening comment.
const ESSAY_CHARS_MIN: usize = 80;
/// Functions that may be longer, each with the reason.
const LONG_FUNCTIONS: [(&str, &str, &str); 0] = [];

/// Every file opens with a comment of a few sentences: `//!` in Rust, `//` or a block comment elsewhere.
pub fn essays(files: &[File]) -> Vec<String> {
    let is_short = |file: &&File| essay_chars(file) < ESSAY_CHARS_MIN;
    let short = files.iter().filter(is_short);
    short.map(|file| format!("{}: no opening essay", file.path)).collect()
}

fn essay_chars(file: &File) -> usize {
    let mut text = file.text.trim_start();
    if text.starts_with("#!/") {
        text = text.split_once('\n').map_or("", |(_, rest)| rest).trim_start();
    }
    let essay = if file.path.ends_with(".rs") {
        lines_with(text, "//!")
    } else if let Some(block) = text.strip_prefix("/*") {
        block.split("*/").next().unwrap_or_default().replace('*', "")
    } else {
        lines_with(text, "//")
    };
    essay.split_whitespace().map(|word| word.chars().count() + 1).sum()
}

fn lines_with(text: &str, mark: &str) -> String {
    let lines = text.lines().map_while(|line| line.trim_start().strip_prefix(mark));
    lines.collect::<Vec<_>>().join(" ")
}

/// No file is longer than a person reads at once.
pub fn lengths(files: &[File]) -> Vec<String> {
    let lines = files.iter().map(|file| (file, file.text.lines().count()));
    let long = lines.filter(|(_, lines)| *lines > LINES_MAX);
    long.map(|(file, lines)| format!("{}: {lines} lines", file.path)).collect()
}

/// No work left for later, and no test switched off. The words are cut in two here, so that this file has none.
pub fn words(files: &[File]) -> Vec<String> {
    let banned = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("unimpl", "emented!"),
        concat!("to", "do!"),
        concat!("#[ign", "ore"),
        concat!("should_", "panic"),
    ];
    let mut findings = Vec::new();
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            for word in banned.iter().filter(|word| line.contains(**word)) {
                findings.push(format!("{}:{}: `{word}`", file.path, index + 1));
            }
        }
    }
    findings
}

/// Every attribute that allows or expects a lint says why.
pub fn allows(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files {
        let code = code(&file.text);
        for mark in ["[allow(", "[expect("] {
            for (at, _) in code.match_indices(mark) {
                let before = code[..at].chars().next_back();
                let attribute = code[at..].split(']').next().unwrap_or_default();
                if matches!(before, Some('#' | '!')) && !attribute.contains("reason") {
                    let line = 1 + code[..at].matches('\n').count();
                    findings
                        .push(format!("{}:{line}: a lint is allowed without a reason", file.path));
                }
            }
        }
    }
    findings
}

/// No function is longer than `FUNCTION_LINES_MAX`, but those in `LONG_FUNCTIONS`.
pub fn functions(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files {
        let code = code(&file.text);
        for (at, name) in function_starts(&code) {
            let excepted =
                LONG_FUNCTIONS.iter().any(|(path, f, _)| (*path, *f) == (&file.path, name));
            let lines = function_lines(&code[at..]);
            if lines > FUNCTION_LINES_MAX && !excepted {
                let line = 1 + code[..at].matches('\n').count();
                findings.push(format!("{}:{line}: `{name}` has {lines} lines", file.path));
            }
        }
    }
    findings
}

fn function_starts(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.match_indices("fn ").filter_map(|(at, _)| {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        let rest = &code[at + 3..];
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(0);
        (!before.is_alphanumeric() && before != '_' && length > 0).then(|| (at, &rest[..length]))
    })
}

/// Lines from `fn` to the brace that closes the body; 0 for a declaration without a body.
fn function_lines(code: &str) -> usize {
    let (mut depth, mut nested, mut lines) = (0, 0, 1);
    for c in code.chars() {
        match c {
            // A semicolon inside `[u8; 4]` ends no declaration.
            '(' | '[' => nested += 1,
            ')' | ']' => nested -= 1,
            ';' if depth == 0 && nested == 0 => return 0,
            '{' => depth += 1,
            '}' if depth == 1 => return lines,
            '}' => depth -= 1,
            '\n' => lines += 1,
            _ => {}
        }
    }
    lines
}
