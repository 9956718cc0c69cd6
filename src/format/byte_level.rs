//! GPT-2's byte alphabet: every byte as one printable character, in which byte-level vocabularies
//! are written.
//!
//! Bytes that are printable in Latin-1 stand for themselves, the others for the characters from
//! U+0100 on, in order. Invariant: the map is one to one, so any text is tokens and back without
//! loss.

use super::gguf_value::{Numbers, Strings, Value};
use super::gguf_writer::GgufWriter;

/// The character that stands for a byte.
pub fn char_of_byte(byte: u8) -> char {
    if is_printable(byte) {
        return char::from(byte);
    }
    let hidden_before = (0..byte).filter(|&byte| !is_printable(byte)).count() as u32;
    char::from_u32(256 + hidden_before).expect("U+0100 to U+0143 are characters")
}

/// The byte that a character stands for; `None` for a character outside the alphabet.
pub fn byte_of_char(character: char) -> Option<u8> {
    match u32::from(character) {
        code @ 0..256 => Some(code as u8).filter(|&byte| is_printable(byte)),
        code @ 256..324 => (0..=255).filter(|&byte| !is_printable(byte)).nth(code as usize - 256),
        _ => None,
    }
}

/// A vocabulary of the 256 bytes and then these special tokens: enough for a small model of a test.
pub fn byte_level_vocab(extra_special: &[&str]) -> Vec<String> {
    let bytes = (0..=255).map(|byte| char_of_byte(byte).to_string());
    bytes.chain(extra_special.iter().map(|token| token.to_string())).collect()
}

/// Writes the metadata of a tokenizer of bytes and special tokens without merges; the last special
/// token ends a turn.
pub fn write_byte_level_tokenizer(writer: &mut GgufWriter, extra_special: &[&str]) {
    let tokens = byte_level_vocab(extra_special);
    let types: Vec<i32> = (0..tokens.len()).map(|id| if id < 256 { 1 } else { 3 }).collect();
    writer
        .key("tokenizer.ggml.model", Value::String("gpt2".into()))
        .key("tokenizer.ggml.pre", Value::String("smollm".into()))
        .key("tokenizer.ggml.merges", Value::Strings(Strings::default()))
        .key("tokenizer.ggml.token_type", Value::Numbers(Numbers::from_i32(&types)))
        .key("tokenizer.ggml.eos_token_id", Value::U32(tokens.len() as u32 - 1))
        .key("tokenizer.ggml.tokens", Value::Strings(tokens.iter().collect()));
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, 33..=126 | 161..=172 | 174..=255)
}
