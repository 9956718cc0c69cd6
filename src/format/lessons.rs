//! Files of training data: conversations as JSON lines, documents as passages.
//!
//! It knows nothing of examples and their priorities. Invariant: nothing is skipped: a line is a
//! conversation, blank, or an error that says which line it is and what to write instead.

use super::error::FormatError;
use super::message::Message;
use serde::Deserialize;

/// What a line may hold, for messages to people.
const WANTED: &str = "write {\"messages\":[{\"role\":\"user\",\"content\":\"…\"},\
     {\"role\":\"assistant\",\"content\":\"…\"}]} or {\"prompt\":\"…\",\"answer\":\"…\"}";

/// A conversation of a file, with what a line may say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// The line, counted from 1.
    pub line: usize,
    /// The messages; the last is the assistant's.
    pub messages: Vec<Message>,
    /// The answer that the last message replaces.
    pub rejected: Option<String>,
    /// Other ways to ask the last question.
    pub rephrasings: Vec<String>,
    /// The kind of example that it is; its names belong to the learning loop.
    pub kind: Option<String>,
}

/// What a file teaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lessons {
    /// Conversations, from a `.jsonl` file.
    Conversations(Vec<Conversation>),
    /// Passages of a document, from any other text file.
    Passages(Vec<String>),
}

/// Other fields are left alone: data sets of other tools carry columns of their own.
#[derive(Deserialize)]
struct Line {
    messages: Option<Vec<Message>>,
    prompt: Option<String>,
    answer: Option<String>,
    completion: Option<String>,
    rejected: Option<String>,
    #[serde(default)]
    rephrasings: Vec<String>,
    kind: Option<String>,
}

/// Reads a file by its name: `.jsonl` as conversations, anything else as a document in passages of
/// at most `chars_max` characters.
pub fn read_lessons(name: &str, bytes: &[u8], chars_max: usize) -> Result<Lessons, FormatError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        fault(name, line, "the file is not UTF-8 text; save it as UTF-8".into())
    })?;
    // Windows' editors mark UTF-8 with a character that is not part of the text.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if name.to_lowercase().ends_with(".jsonl") {
        return read_conversations(name, text).map(Lessons::Conversations);
    }
    let passages = split_passages(text, chars_max).into_iter().map(String::from).collect();
    Ok(Lessons::Passages(passages))
}

/// Reads conversations, one JSON object a line.
pub fn read_conversations(name: &str, text: &str) -> Result<Vec<Conversation>, FormatError> {
    let mut conversations = Vec::new();
    for (index, source) in text.lines().enumerate() {
        if source.trim().is_empty() {
            continue;
        }
        let line = index + 1;
        let conversation = read_line(line, source).map_err(|reason| fault(name, line, reason))?;
        conversations.push(conversation);
    }
    Ok(conversations)
}

/// Cuts a document into passages of at most `chars_max` characters: at a blank line where there is
/// one in the last three quarters of a passage, else at a line's end, else at a space, else
/// anywhere. Blank edges are dropped.
pub fn split_passages(text: &str, chars_max: usize) -> Vec<&str> {
    assert!(chars_max > 0, "a passage has room for a character");
    let mut passages = Vec::new();
    let mut rest = trim_blank_lines(text);
    while !rest.is_empty() {
        let window = rest.char_indices().nth(chars_max).map_or(rest, |(end, _)| &rest[..end]);
        let cut = if window.len() == rest.len() { rest.len() } else { best_cut(window) };
        let passage = trim_blank_lines(&rest[..cut]);
        if !passage.is_empty() {
            passages.push(passage);
        }
        rest = trim_blank_lines(&rest[cut..]);
    }
    passages
}

/// Where a window that is too short for the rest of the text is best left.
fn best_cut(window: &str) -> usize {
    let borders = ["\n\n", "\n", " "];
    let cuts = borders.iter().filter_map(|border| Some(window.rfind(border)? + border.len()));
    let far_enough = |cut: &usize| *cut >= window.len() / 4;
    cuts.into_iter().find(far_enough).unwrap_or(window.len())
}

/// Without blank lines at the start and white space at the end; the first line's indentation stays,
/// for code.
fn trim_blank_lines(text: &str) -> &str {
    let text = text.trim_end();
    let blank = text.len() - text.trim_start().len();
    let start = text[..blank].rfind('\n').map_or(0, |newline| newline + 1);
    &text[start..]
}

fn read_line(line: usize, source: &str) -> Result<Conversation, String> {
    let read: Line = serde_json::from_str(source)
        .map_err(|error| format!("not a conversation ({error}); {WANTED}"))?;
    let messages = match (read.messages, read.prompt, read.answer.or(read.completion)) {
        (Some(messages), None, None) => messages,
        (None, Some(prompt), Some(answer)) => {
            vec![Message::user(prompt), Message::assistant(answer)]
        }
        _ => return Err(format!("needs messages, or a prompt with an answer; {WANTED}")),
    };
    check_messages(&messages)?;
    let Line { rejected, rephrasings, kind, .. } = read;
    Ok(Conversation { line, messages, rejected, rephrasings, kind })
}

fn check_messages(messages: &[Message]) -> Result<(), String> {
    for (index, message) in messages.iter().enumerate() {
        let role = message.role.as_str();
        if !matches!(role, "system" | "user" | "assistant") {
            let allowed = "use system, user or assistant";
            return Err(format!("message {} has the role {role:?}; {allowed}", index + 1));
        }
        if role != "system" && message.content.trim().is_empty() {
            return Err(format!("message {} is empty; write its text or drop the line", index + 1));
        }
    }
    if messages.last().is_none_or(|message| message.role != "assistant") {
        return Err("the last message is not the assistant's, so nothing can be learned; \
                    add the answer"
            .into());
    }
    if messages.iter().all(|message| message.role != "user") {
        return Err("there is no message of the user; add what was asked".into());
    }
    Ok(())
}

fn fault(name: &str, line: usize, reason: String) -> FormatError {
    FormatError::Lesson { name: name.into(), line, reason }
}
