//! SentencePiece's BPE: characters are merged into the neighbouring pair whose piece has the highest score (Kudo &
//! Richardson 2018), over the whole text; what no piece spells becomes bytes.
//!
//! Not through the `tokenizers` crate: it ranks pairs, which have no scores and no order in the text among equals, so it
//! can only come close. It knows no special tokens. Invariant: with a token for each byte, every text has tokens that spell
//! it, after the space that the vocabulary may ask for at its start.

use super::error::FormatError;
use super::gguf_value::{Metadata, Strings};
use super::token_table::TokenTable;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// The character that stands for a space.
const SPACE: char = '\u{2581}';

/// GGUF's types of tokens that pieces of text may become.
const TYPE_NORMAL: u8 = 1;
const TYPE_USER_DEFINED: u8 = 4;
const TYPE_UNUSED: u8 = 5;
/// GGUF's type of a token that is one byte.
const TYPE_BYTE: u8 = 6;

/// A vocabulary of pieces with scores.
pub struct SentencePiece {
    pieces: TokenTable,
    /// By token.
    scores: Vec<f32>,
    /// The token of each byte.
    bytes: Vec<Option<u32>>,
    unknown: Option<u32>,
    adds_space: bool,
}

/// A run of characters that has become one piece; merged into its left neighbour, it is empty.
struct Symbol {
    start: usize,
    end: usize,
    left: Option<usize>,
    right: Option<usize>,
}

/// A pair that could merge, for as long as both are as long as they were.
struct Merge {
    score: f32,
    left: usize,
    right: usize,
    bytes: usize,
}

impl Ord for Merge {
    /// The highest score first, then the leftmost.
    fn cmp(&self, other: &Merge) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Merge {
    fn partial_cmp(&self, other: &Merge) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Merge {
    fn eq(&self, other: &Merge) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Merge {}

impl SentencePiece {
    /// What the metadata describes, for the vocabulary `tokens` of these types.
    pub fn new(
        metadata: &Metadata,
        tokens: &Strings,
        types: &[u8],
    ) -> Result<SentencePiece, FormatError> {
        // -0, as the first merge has, is 0 in every comparison.
        let scores: Vec<f32> = match metadata.opt_numbers("tokenizer.ggml.scores")? {
            Some(scores) => scores.iter_f64().map(|score| score as f32 + 0.0).collect(),
            None => Vec::new(),
        };
        if scores.len() != tokens.len() || types.len() != tokens.len() {
            let (n, scores, types) = (tokens.len(), scores.len(), types.len());
            let reason = format!("{n} tokens have {scores} scores and {types} types");
            return Err(FormatError::Tokenizer { reason });
        }
        let mut bytes = vec![None; 256];
        for (id, text) in tokens.iter().enumerate().filter(|(id, _)| types[*id] == TYPE_BYTE) {
            if let Some(byte) = byte_of_token(text) {
                bytes[usize::from(byte)] = Some(id as u32);
            }
        }
        let is_piece =
            |id: &u32| matches!(types[*id as usize], TYPE_NORMAL | TYPE_USER_DEFINED | TYPE_UNUSED);
        let pieces = TokenTable::new(tokens, (0..tokens.len() as u32).filter(is_piece));
        let unknown = metadata.opt_usize("tokenizer.ggml.unknown_token_id")?;
        let unknown = unknown.filter(|id| *id < tokens.len()).map(|id| id as u32);
        let adds_space = metadata.opt_bool("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
        Ok(SentencePiece { pieces, scores, bytes, unknown, adds_space })
    }

    /// Whether a text gets a space at its start.
    pub fn adds_space(&self) -> bool {
        self.adds_space
    }

    /// Appends the ids of a text; one that begins (`at_start`) gets the space that the vocabulary asks for.
    pub fn encode(&self, text: &str, at_start: bool, ids: &mut Vec<u32>) {
        let prefix = (at_start && self.adds_space).then_some(SPACE);
        let spaced = text.chars().map(|c| if c == ' ' { SPACE } else { c });
        let text: String = prefix.into_iter().chain(spaced).collect();
        let mut symbols = characters(&text);
        let mut merges = BinaryHeap::new();
        for right in 1..symbols.len() {
            merges.extend(self.merge(&text, &symbols, right - 1, right));
        }
        while let Some(Merge { left, right, bytes, .. }) = merges.pop() {
            let (start, end) = (symbols[left].start, symbols[right].end);
            let both = symbols[left].len() > 0 && symbols[right].len() > 0;
            if !both || symbols[left].len() + symbols[right].len() != bytes {
                continue;
            }
            let next = symbols[right].right;
            symbols[right].start = end;
            (symbols[left].end, symbols[left].right) = (end, next);
            if let Some(next) = next {
                symbols[next].left = Some(left);
                merges.extend(self.merge(&text, &symbols, left, next));
            }
            if let Some(before) = symbols[left].left {
                debug_assert!(symbols[before].end == start, "neighbours touch");
                merges.extend(self.merge(&text, &symbols, before, left));
            }
        }
        for symbol in symbols.iter().filter(|symbol| symbol.len() > 0) {
            self.push(&text[symbol.start..symbol.end], ids);
        }
    }

    /// The merge of two neighbours, if a piece spells them.
    fn merge(&self, text: &str, symbols: &[Symbol], left: usize, right: usize) -> Option<Merge> {
        let (start, end) = (symbols[left].start, symbols[right].end);
        let piece = self.pieces.get(&text[start..end])?;
        Some(Merge { score: self.scores[piece as usize], left, right, bytes: end - start })
    }

    /// Appends a symbol's token, or its bytes'.
    fn push(&self, symbol: &str, ids: &mut Vec<u32>) {
        if let Some(piece) = self.pieces.get(symbol) {
            return ids.push(piece);
        }
        let bytes = symbol.bytes().map(|byte| self.bytes[usize::from(byte)]);
        match bytes.collect::<Option<Vec<u32>>>() {
            Some(bytes) => ids.extend(bytes),
            None => ids.extend(self.unknown),
        }
    }
}

impl Symbol {
    fn len(&self) -> usize {
        self.end - self.start
    }
}

/// A token's bytes: its text with spaces for what stands for them, or the byte that it is.
pub fn token_bytes(text: &str, ty: u8) -> Vec<u8> {
    match byte_of_token(text) {
        Some(byte) if ty == TYPE_BYTE => vec![byte],
        _ => text.replace(SPACE, " ").into_bytes(),
    }
}

/// The byte of `<0x41>`.
fn byte_of_token(text: &str) -> Option<u8> {
    u8::from_str_radix(text.strip_prefix("<0x")?.strip_suffix('>')?, 16).ok()
}

fn characters(text: &str) -> Vec<Symbol> {
    let n = text.chars().count();
    let symbol = |(i, (start, c)): (usize, (usize, char))| Symbol {
        start,
        end: start + c.len_utf8(),
        left: i.checked_sub(1),
        right: Some(i + 1).filter(|next| *next < n),
    };
    text.char_indices().enumerate().map(symbol).collect()
}
