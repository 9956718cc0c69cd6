//! Text to token ids and back, from a GGUF's own vocabulary: byte-level BPE or SentencePiece.
//!
//! How plain text becomes tokens is the encoders' business; special tokens are found here, so that a text that
//! merely quotes one can be told from a template that means one. It knows nothing of conversations.
//! Invariant: the bytes of a text's tokens, one after another, are the text's bytes, but for the space that
//! SentencePiece puts before a text and for the characters that Qwen composes.

use super::byte_level::byte_of_char;
use super::error::FormatError;
use super::gguf::Gguf;
use super::gguf_value::Strings;
use super::merged_bytes::{self, MergedBytes};
use super::sentence_piece::{self, SentencePiece};

/// GGUF's types of tokens that are not plain text.
const TYPE_CONTROL: u8 = 3;
const TYPE_USER_DEFINED: u8 = 4;

/// Tokens that end an answer wherever a vocabulary has them, besides the one that the metadata
/// names.
const STOP_TEXTS: [&str; 5] =
    ["<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"];

/// A model's tokenizer.
pub struct Tokenizer {
    encoder: Encoder,
    /// Every token's bytes, one after another, and their ends.
    bytes: Vec<u8>,
    ends: Vec<u32>,
    specials: Specials,
    bos: Option<u32>,
    eos: u32,
    stops: Vec<u32>,
    adds_bos: bool,
}

/// How plain text becomes tokens.
enum Encoder {
    Bytes(Box<MergedBytes>),
    Pieces(SentencePiece),
}

/// Special tokens, longest first, so that the first that fits is the right one.
struct Specials {
    texts: Strings,
    ids: Vec<u32>,
    /// Hidden from readers, unlike a token that a user added to the vocabulary.
    control: Vec<bool>,
}

impl Specials {
    fn new(tokens: &Strings, types: &[u8]) -> Specials {
        let special = |id: &u32| {
            let ty = types.get(*id as usize).copied().unwrap_or_default();
            matches!(ty, TYPE_CONTROL | TYPE_USER_DEFINED) && tokens.get(*id as usize) != Some("")
        };
        let text = |id: &u32| tokens.get(*id as usize).unwrap_or_default();
        let mut ids: Vec<u32> = (0..tokens.len() as u32).filter(special).collect();
        ids.sort_by_key(|id| std::cmp::Reverse(text(id).len()));
        let control = ids.iter().map(|id| types[*id as usize] == TYPE_CONTROL).collect();
        Specials { texts: ids.iter().map(text).collect(), ids, control }
    }

    /// The first whose text holds `fits`: its text and its id.
    fn find(&self, fits: impl Fn(&str) -> bool) -> Option<(&str, u32)> {
        self.texts.iter().zip(&self.ids).find(|(text, _)| fits(text)).map(|(text, id)| (text, *id))
    }
}

impl Tokenizer {
    /// The tokenizer that a GGUF's metadata describes.
    pub fn from_gguf(gguf: &Gguf) -> Result<Tokenizer, FormatError> {
        let meta = &gguf.metadata;
        let tokens = meta.strings("tokenizer.ggml.tokens")?;
        let types: Vec<u8> = match meta.opt_numbers("tokenizer.ggml.token_type")? {
            // A number that is no type is like none.
            Some(types) => types.iter_i64().map(|ty| u8::try_from(ty).unwrap_or(0)).collect(),
            None => Vec::new(),
        };
        let (encoder, adds_bos) = match meta.str("tokenizer.ggml.model")? {
            "gpt2" => (
                Encoder::Bytes(Box::new(MergedBytes::new(meta, tokens)?)),
                merged_bytes::adds_bos(meta)?,
            ),
            "llama" => (Encoder::Pieces(SentencePiece::new(meta, tokens, &types)?), true),
            other => {
                let found = other.to_string();
                let supported = "gpt2 (byte-level BPE), llama (SentencePiece)";
                return Err(FormatError::Unsupported { what: "the tokenizer", found, supported });
            }
        };
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(tokens.len()));
        for (id, text) in tokens.iter().enumerate() {
            let ty = types.get(id).copied().unwrap_or_default();
            bytes.extend(encoder.token_bytes(text, ty));
            ends.push(bytes.len() as u32);
        }
        let specials = Specials::new(tokens, &types);
        let find = |text: &str| tokens.iter().position(|token| token == text).map(|id| id as u32);
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
        let adds_bos = meta.opt_bool("tokenizer.ggml.add_bos_token")?.unwrap_or(adds_bos);
        Ok(Tokenizer { encoder, bytes, ends, specials, bos, eos, stops, adds_bos })
    }

    /// The tokens of a text that nothing precedes: with `bos` first where the model expects it.
    pub fn encode_whole(&self, text: &str, parse_special: bool) -> Vec<u32> {
        let mut ids = self.encode(text, parse_special);
        if let Some(bos) = self.bos.filter(|bos| self.adds_bos && ids.first() != Some(bos)) {
            ids.insert(0, bos);
        }
        ids
    }

    /// The tokens of a text that goes on after another: without the space that SentencePiece puts before a text.
    pub fn encode_rest(&self, text: &str, parse_special: bool) -> Vec<u32> {
        self.encode_from(text, parse_special, false)
    }

    /// The token ids of a text. With `parse_special`, the texts of special tokens become those
    /// tokens; without it, they are text like any other. No token is added at the start (see
    /// [`Tokenizer::adds_bos`]).
    pub fn encode(&self, text: &str, parse_special: bool) -> Vec<u32> {
        self.encode_from(text, parse_special, true)
    }

    fn encode_from(&self, text: &str, parse_special: bool, at_start: bool) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 3);
        let (mut start, mut at, mut at_start) = (0, 0, at_start);
        while parse_special && at < text.len() {
            let rest = &text.as_bytes()[at..];
            let special = self.specials.find(|special| rest.starts_with(special.as_bytes()));
            if let Some((special, id)) = special {
                self.encode_plain(&text[start..at], at_start, &mut ids);
                ids.push(id);
                at += special.len();
                (start, at_start) = (at, true);
            } else {
                at += 1;
            }
        }
        self.encode_plain(&text[start..], at_start, &mut ids);
        ids
    }

    /// The text of token ids; control tokens are left out unless `keep_special`. Bytes that are no
    /// UTF-8 become U+FFFD. The space that SentencePiece put before the text is left out.
    pub fn decode(&self, ids: &[u32], keep_special: bool) -> String {
        let shown = ids.iter().filter(|&&id| keep_special || !self.is_control(id));
        let bytes: Vec<u8> = shown.flat_map(|&id| self.token_bytes(id)).copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        match &self.encoder {
            Encoder::Pieces(pieces) if pieces.adds_space() => {
                text.strip_prefix(' ').unwrap_or(&text).to_string()
            }
            _ => text.into_owned(),
        }
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
        self.specials.find(|special| special == text).map(|(_, id)| id)
    }

    /// Whether a token steers the model instead of being text.
    pub fn is_control(&self, id: u32) -> bool {
        let Specials { ids, control, .. } = &self.specials;
        ids.iter().zip(control).any(|(special, control)| *special == id && *control)
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

    fn encode_plain(&self, text: &str, at_start: bool, ids: &mut Vec<u32>) {
        match &self.encoder {
            _ if text.is_empty() => {}
            Encoder::Bytes(bytes) => bytes.encode(text, ids),
            Encoder::Pieces(pieces) => pieces.encode(text, at_start, ids),
        }
    }
}

impl Encoder {
    /// The bytes that a token stands for.
    fn token_bytes(&self, text: &str, ty: u8) -> Vec<u8> {
        let is_special = matches!(ty, TYPE_CONTROL | TYPE_USER_DEFINED);
        match self {
            Encoder::Pieces(_) => sentence_piece::token_bytes(text, ty),
            Encoder::Bytes(_) if is_special => text.into(),
            Encoder::Bytes(_) => {
                let bytes: Option<Vec<u8>> = text.chars().map(byte_of_char).collect();
                bytes.unwrap_or_else(|| text.into())
            }
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
