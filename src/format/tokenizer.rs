//! Text to token ids and back: byte-level BPE from a GGUF's own vocabulary.
//!
//! The merging is the `tokenizers` crate's; special tokens are found here, so that a text that
//! merely quotes one can be told from a template that means one. It knows nothing of conversations.
//! Invariant: the bytes of a text's tokens, one after another, are the text's bytes.

use super::byte_level::byte_of_char;
use super::error::FormatError;
use super::gguf::Gguf;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    Model, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, PreTokenizerWrapper,
    SplitDelimiterBehavior,
};

/// GGUF's types of tokens that are not plain text.
const TYPE_CONTROL: i64 = 3;
const TYPE_USER_DEFINED: i64 = 4;

/// Tokens that end an answer wherever a vocabulary has them, besides the one that the metadata
/// names.
const STOP_TEXTS: [&str; 3] = ["<|im_end|>", "<|endoftext|>", "<|eot_id|>"];

/// Where Llama 3 cuts a text before merging: contractions, words, up to three digits, punctuation,
/// line ends, spaces.
const LLAMA3_WORDS: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
/// The same for Qwen 2 and 3, which take digits one by one.
const QWEN2_WORDS: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// A model's tokenizer.
pub struct Tokenizer {
    bpe: BPE,
    cuts: Vec<PreTokenizerWrapper>,
    /// Every token's bytes, one after another, and their ends.
    bytes: Vec<u8>,
    ends: Vec<u32>,
    /// Special tokens, longest first, so that the first that fits is the right one.
    specials: Vec<Special>,
    bos: Option<u32>,
    eos: u32,
    stops: Vec<u32>,
    adds_bos: bool,
}

struct Special {
    text: String,
    id: u32,
    /// Hidden from readers, unlike a token that a user added to the vocabulary.
    control: bool,
}

impl Tokenizer {
    /// The tokenizer that a GGUF's metadata describes.
    pub fn from_gguf(gguf: &Gguf) -> Result<Tokenizer, FormatError> {
        let meta = &gguf.metadata;
        let model = meta.str("tokenizer.ggml.model")?;
        if model != "gpt2" {
            let (found, supported) = (model.to_string(), "gpt2 (byte-level BPE)");
            return Err(FormatError::Unsupported { what: "the tokenizer", found, supported });
        }
        // Where the vocabulary does not say, files of Llama 3 are older than the key.
        let pre = meta.opt_str("tokenizer.ggml.pre")?.unwrap_or("llama-bpe");
        let is_llama3 = matches!(pre, "llama-bpe" | "llama3" | "llama-v3");
        let tokens = meta.strings("tokenizer.ggml.tokens")?;
        let types: Vec<i64> = match meta.opt_numbers("tokenizer.ggml.token_type")? {
            Some(types) => types.iter_i64().collect(),
            None => Vec::new(),
        };
        let (mut bytes, mut ends, mut specials) = (Vec::new(), Vec::new(), Vec::new());
        for (id, text) in tokens.iter().enumerate() {
            let ty = types.get(id).copied().unwrap_or_default();
            if matches!(ty, TYPE_CONTROL | TYPE_USER_DEFINED) && !text.is_empty() {
                let (id, control) = (id as u32, ty == TYPE_CONTROL);
                specials.push(Special { text: text.into(), id, control });
                bytes.extend_from_slice(text.as_bytes());
            } else {
                match text.chars().map(byte_of_char).collect::<Option<Vec<u8>>>() {
                    Some(token_bytes) => bytes.extend(token_bytes),
                    None => bytes.extend_from_slice(text.as_bytes()),
                }
            }
            ends.push(bytes.len() as u32);
        }
        specials.sort_by_key(|special| std::cmp::Reverse(special.text.len()));
        // From the last to the first, so that of two equal tokens the first gets the text.
        let vocab: Vocab = (0..tokens.len()).rev().zip(reversed(tokens)).map(to_entry).collect();
        let find = |text: &str| vocab.get(text).copied();
        let bos = checked_id(gguf, "tokenizer.ggml.bos_token_id", tokens.len())?;
        let eos = checked_id(gguf, "tokenizer.ggml.eos_token_id", tokens.len())?;
        let Some(eos) = eos.or_else(|| STOP_TEXTS.into_iter().find_map(find)) else {
            return Err(FormatError::MissingKey { key: "tokenizer.ggml.eos_token_id".into() });
        };
        let mut stops = vec![eos];
        stops.extend(checked_id(gguf, "tokenizer.ggml.eot_token_id", tokens.len())?);
        stops.extend(STOP_TEXTS.into_iter().filter_map(find));
        stops.sort_unstable();
        stops.dedup();
        let adds_bos = meta.opt_bool("tokenizer.ggml.add_bos_token")?.unwrap_or(is_llama3);
        let cuts = cuts(pre)?;
        let merges = meta.strings("tokenizer.ggml.merges")?.iter().map(parse_merge);
        let merges = merges.collect::<Result<Vec<_>, _>>()?;
        let builder = BPE::builder().vocab_and_merges(vocab, merges).ignore_merges(is_llama3);
        let bpe = builder.build().map_err(broken)?;
        Ok(Tokenizer { bpe, cuts, bytes, ends, specials, bos, eos, stops, adds_bos })
    }

    /// The token ids of a text. With `parse_special`, the texts of special tokens become those
    /// tokens; without it, they are text like any other. No token is added at the start (see
    /// [`Tokenizer::adds_bos`]).
    pub fn encode(&self, text: &str, parse_special: bool) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 3);
        let mut start = 0;
        let mut at = 0;
        while parse_special && at < text.len() {
            let rest = &text.as_bytes()[at..];
            let special = self.specials.iter().find(|s| rest.starts_with(s.text.as_bytes()));
            if let Some(special) = special {
                self.encode_plain(&text[start..at], &mut ids);
                ids.push(special.id);
                at += special.text.len();
                start = at;
            } else {
                at += 1;
            }
        }
        self.encode_plain(&text[start..], &mut ids);
        ids
    }

    /// The text of token ids; control tokens are left out unless `keep_special`. Bytes that are no
    /// UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32], keep_special: bool) -> String {
        let shown = ids.iter().filter(|&&id| keep_special || !self.is_control(id));
        let bytes: Vec<u8> = shown.flat_map(|&id| self.token_bytes(id)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The bytes of a token, which may be a part of a character; none for an id beyond the
    /// vocabulary.
    pub fn token_bytes(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let Some(&end) = self.ends.get(id) else { return &[] };
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.bytes[start as usize..end as usize]
    }

    /// A token's text for a person to read; a part of a character shows as U+FFFD.
    pub fn token_text(&self, id: u32) -> String {
        String::from_utf8_lossy(self.token_bytes(id)).into_owned()
    }

    /// The id of the special token with this text.
    pub fn special_id(&self, text: &str) -> Option<u32> {
        self.specials.iter().find(|special| special.text == text).map(|special| special.id)
    }

    /// Whether a token steers the model instead of being text.
    pub fn is_control(&self, id: u32) -> bool {
        self.specials.iter().any(|special| special.id == id && special.control)
    }

    /// The token that begins a text, if the model has one.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// Whether the model expects a plain text to begin with `bos`. A chat template writes it
    /// itself.
    pub fn adds_bos(&self) -> bool {
        self.adds_bos && self.bos.is_some()
    }

    /// The token that ends a text.
    pub fn eos(&self) -> u32 {
        self.eos
    }

    /// Every token that ends an answer, sorted.
    pub fn stop_ids(&self) -> &[u32] {
        &self.stops
    }

    /// How many tokens there are.
    pub fn vocab_size(&self) -> usize {
        self.ends.len()
    }

    fn encode_plain(&self, text: &str, ids: &mut Vec<u32>) {
        if text.is_empty() {
            return;
        }
        let mut pieces = PreTokenizedString::from(text);
        for cut in &self.cuts {
            cut.pre_tokenize(&mut pieces).expect("the cuts' patterns match any text");
        }
        for (piece, _, _) in pieces.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            let tokens =
                self.bpe.tokenize(piece).expect("BPE without dropout or unknowns is total");
            ids.extend(tokens.iter().map(|token| token.id));
        }
    }
}

/// Turns a stream of tokens into text, a character at a time: a token may end within one.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    pending: Vec<u8>,
}

impl StreamDecoder {
    /// A decoder at the start of a text.
    pub fn new() -> Self {
        Self::default()
    }

    /// The text that is complete with this token; control tokens have none.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> String {
        if !tokenizer.is_control(id) {
            self.pending.extend_from_slice(tokenizer.token_bytes(id));
        }
        let complete = match self.pending.utf8_chunks().last() {
            // A cut-off character at the very end may still be completed; anything else is final.
            Some(last) if is_unfinished(last.invalid()) => {
                self.pending.len() - last.invalid().len()
            }
            _ => self.pending.len(),
        };
        let text = String::from_utf8_lossy(&self.pending[..complete]).into_owned();
        self.pending.drain(..complete);
        text
    }

    /// What is left at the end: U+FFFD for a character that was never completed.
    pub fn finish(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        text
    }
}

/// Whether bytes are the beginning of a character.
fn is_unfinished(bytes: &[u8]) -> bool {
    matches!(std::str::from_utf8(bytes), Err(error) if error.error_len().is_none())
}

/// How a text is cut before merging; `pre` is the GGUF's name for it.
fn cuts(pre: &str) -> Result<Vec<PreTokenizerWrapper>, FormatError> {
    let words = |pattern: &str| -> Result<Vec<PreTokenizerWrapper>, FormatError> {
        let pattern = SplitPattern::Regex(pattern.into());
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(broken)?;
        Ok(vec![split.into(), ByteLevel::new(false, false, false).into()])
    };
    match pre {
        "smollm" => Ok(vec![Digits::new(true).into(), ByteLevel::new(false, false, true).into()]),
        "llama-bpe" | "llama3" | "llama-v3" => words(LLAMA3_WORDS),
        "qwen2" => words(QWEN2_WORDS),
        _ => {
            let (found, supported) = (pre.to_string(), "smollm, llama-bpe, qwen2");
            Err(FormatError::Unsupported { what: "the pre-tokenizer", found, supported })
        }
    }
}

fn reversed(tokens: &super::gguf_value::Strings) -> impl Iterator<Item = &str> {
    (0..tokens.len()).rev().map(|id| tokens.get(id).expect("the id is under the length"))
}

fn to_entry((id, text): (usize, &str)) -> (String, u32) {
    (text.to_string(), id as u32)
}

/// The two halves of a merge, which a space parts.
fn parse_merge(merge: &str) -> Result<(String, String), FormatError> {
    let halves =
        merge.split_once(' ').filter(|(left, right)| !left.is_empty() && !right.is_empty());
    let halves = halves.map(|(left, right)| (left.to_string(), right.to_string()));
    halves.ok_or_else(|| broken(format!("the merge {merge:?} is not two tokens")))
}

/// The token id at `key`, which must lie in the vocabulary.
fn checked_id(gguf: &Gguf, key: &str, vocab_size: usize) -> Result<Option<u32>, FormatError> {
    match gguf.metadata.opt_usize(key)? {
        Some(id) if id >= vocab_size => {
            let (key, found) = (key.to_string(), id.to_string());
            Err(FormatError::WrongType { key, wanted: "an id of the vocabulary", found })
        }
        id => Ok(id.map(|id| id as u32)),
    }
}

fn broken(reason: impl ToString) -> FormatError {
    FormatError::Tokenizer { reason: reason.to_string() }
}
