//! Byte-level BPE: text is cut into words, and each word's bytes are merged pair by pair (Radford et al. 2019).
//!
//! Where to cut is a family's own pattern, which the GGUF names, run by the `tokenizers` crate; the merging is
//! `pair_merges`'. It knows no special tokens and no bytes of tokens. Invariant: every text has tokens, since every byte is
//! one.

use super::error::FormatError;
use super::gguf_value::{Metadata, Strings};
use super::pair_merges::PairMerges;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    NormalizedString, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    PreTokenizerWrapper, SplitDelimiterBehavior,
};

/// Where Llama 3 cuts a text before merging: contractions, words, up to three digits, punctuation, line ends, spaces.
const LLAMA3_WORDS: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);
/// The same for Qwen 2 and 3, which take digits one by one.
const QWEN2_WORDS: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// llama.cpp's default: punctuation first, then words as GPT-2's but for the spaces at a text's end, then numbers, then
/// three digits at a time; each cuts what the ones before it left.
const DEFAULT_WORDS: [&str; 4] = [
    r"[\p{P}\$\+<=>\^~\|]+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
    r"\p{N}+",
    r"[0-9][0-9][0-9]",
];

/// The cuts and the merges of one vocabulary.
pub struct MergedBytes {
    merges: PairMerges,
    cuts: Vec<PreTokenizerWrapper>,
    /// Llama 3 takes a word that is a token whole, whatever its merges say.
    whole_words: bool,
    /// Qwen's own tokenizer composes characters first (NFC), which GGUF does not say.
    composes: bool,
}

impl MergedBytes {
    /// What the metadata describes, for the vocabulary `tokens`.
    pub fn new(metadata: &Metadata, tokens: &Strings) -> Result<MergedBytes, FormatError> {
        let pre = pre_name(metadata)?;
        let cuts = cuts(pre)?;
        let merges = PairMerges::new(tokens, metadata.strings("tokenizer.ggml.merges")?)?;
        Ok(MergedBytes { merges, cuts, whole_words: is_llama3(pre), composes: is_qwen(pre) })
    }

    /// Appends the ids of a text.
    pub fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        let mut text = NormalizedString::from(text);
        if self.composes {
            text.nfc();
        }
        let mut pieces = PreTokenizedString::from(text);
        for cut in &self.cuts {
            cut.pre_tokenize(&mut pieces).expect("the cuts' patterns match any text");
        }
        for (piece, _, _) in pieces.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            match self.merges.whole(piece).filter(|_| self.whole_words) {
                Some(id) => ids.push(id),
                None => self.merges.encode(piece, ids),
            }
        }
    }
}

/// GGUF's name of the cuts; files of Llama 3 may be older than the key.
fn pre_name(metadata: &Metadata) -> Result<&str, FormatError> {
    Ok(metadata.opt_str("tokenizer.ggml.pre")?.unwrap_or("llama-bpe"))
}

/// Whether a text begins with the token that begins texts where the metadata does not say.
pub fn adds_bos(metadata: &Metadata) -> Result<bool, FormatError> {
    Ok(is_llama3(pre_name(metadata)?))
}

fn is_llama3(pre: &str) -> bool {
    matches!(pre, "llama-bpe" | "llama3" | "llama-v3")
}

fn is_qwen(pre: &str) -> bool {
    matches!(pre, "qwen2" | "deepseek-r1-qwen")
}

/// How a text is cut before merging; `pre` is the GGUF's name for it.
fn cuts(pre: &str) -> Result<Vec<PreTokenizerWrapper>, FormatError> {
    let words = |patterns: &[&str]| -> Result<Vec<PreTokenizerWrapper>, FormatError> {
        let mut cuts = Vec::new();
        for pattern in patterns {
            let pattern = SplitPattern::Regex((*pattern).into());
            let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false);
            cuts.push(split.map_err(broken)?.into());
        }
        cuts.push(ByteLevel::new(false, false, false).into());
        Ok(cuts)
    };
    match pre {
        "gpt-2" => Ok(vec![ByteLevel::new(false, false, true).into()]),
        "smollm" => Ok(vec![Digits::new(true).into(), ByteLevel::new(false, false, true).into()]),
        "llama-bpe" | "llama3" | "llama-v3" => words(&[LLAMA3_WORDS]),
        _ if is_qwen(pre) => words(&[QWEN2_WORDS]),
        "default" => words(&DEFAULT_WORDS),
        _ => {
            let (found, supported) = (pre.to_string(), "smollm, llama-bpe, qwen2, gpt-2, default");
            Err(FormatError::Unsupported { what: "the pre-tokenizer", found, supported })
        }
    }
}

fn broken(reason: impl ToString) -> FormatError {
    FormatError::Tokenizer { reason: reason.to_string() }
}
