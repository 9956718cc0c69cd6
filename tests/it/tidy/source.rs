//! Rust's text without its comments and the insides of its literals, line for line.
//!
//! It knows nothing of rules. Invariant: the result has as many lines as the source, and code keeps its column.

/// Blanks comments, strings and characters, so that braces and paths that are left are code.
pub fn code(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut i = 0;
    while i < chars.len() {
        let end = token_end(&chars, i);
        match end {
            Some(end) => {
                out.extend(chars[i..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
                i = end;
            }
            None => {
                out.push(chars[i]);
                i += 1;
            }
        }
    }
    out
}

/// Where the comment or literal that begins at `i` ends; `None` if none begins there.
fn token_end(chars: &[char], i: usize) -> Option<usize> {
    let at = |k: usize| chars.get(k).copied().unwrap_or('\0');
    let in_word = i > 0 && (at(i - 1).is_alphanumeric() || at(i - 1) == '_');
    match (at(i), at(i + 1)) {
        ('/', '/') => {
            Some(chars[i..].iter().position(|&c| c == '\n').map_or(chars.len(), |n| i + n))
        }
        ('/', '*') => Some(block_end(chars, i)),
        ('"', _) => Some(string_end(chars, i)),
        ('r', '"' | '#') if !in_word || at(i - 1) == 'b' => raw_end(chars, i),
        ('\'', '\\') => chars[i + 3..].iter().position(|&c| c == '\'').map(|n| i + n + 4),
        // A lifetime has no closing quote right after one character.
        ('\'', _) if at(i + 2) == '\'' => Some(i + 3),
        _ => None,
    }
}

fn block_end(chars: &[char], start: usize) -> usize {
    let (mut depth, mut i) = (0, start);
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => {
                (depth, i) = (depth - 1, i + 2);
                if depth == 0 {
                    return i;
                }
            }
            _ => i += 1,
        }
    }
    chars.len()
}

fn string_end(chars: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len())
}

fn raw_end(chars: &[char], start: usize) -> Option<usize> {
    let hashes = chars[start + 1..].iter().take_while(|&&c| c == '#').count();
    let open = start + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let closes = |i: usize| {
        chars[i] == '"'
            && chars[i + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes
    };
    Some((open + 1..chars.len()).find(|&i| closes(i)).map_or(chars.len(), |i| i + 1 + hashes))
}

/// Every path after `prefix` (as `crate::`), each with its line: `crate::a::{b, c::d}` gives `a::b` and `a::c::d`.
pub fn paths(code: &str, prefix: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        if before.is_alphanumeric() || before == '_' || before == ':' || before == '$' {
            continue;
        }
        let line = 1 + code[..at].matches('\n').count();
        let mut ends = Vec::new();
        expand(&code[at + prefix.len()..], "", &mut ends);
        found.extend(ends.into_iter().map(|path| (line, path)));
    }
    found
}

/// Reads one path, or the tree in braces where it ends; returns how many bytes it took.
fn expand(text: &str, stem: &str, found: &mut Vec<String>) -> usize {
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '*';
    let length = text.find(|c| !word(c)).unwrap_or(text.len());
    let path = format!("{stem}{}", &text[..length]);
    if !text[length..].starts_with('{') || !(path.ends_with("::") || path.is_empty()) {
        found.push(path);
        return length;
    }
    let mut at = length + 1;
    while at < text.len() && !text[at..].starts_with('}') {
        match text[at..].chars().next() {
            Some(c) if word(c) || c == '{' => at += expand(&text[at..], &path, found).max(1),
            Some(c) => at += c.len_utf8(),
            None => break,
        }
    }
    at + 1
}
