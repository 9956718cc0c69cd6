//! Byte-level BPE: text is cut into words, and each word's bytes are merged pair by pair (Radford et al. 2019).
//!
//! The merging is the `tokenizers` crate's; where to cut is a family's own pattern, which the GGUF names. It knows no
//! special tokens and no bytes of tokens. Invariant: every text has tokens, since every byte is one.

use super::error::FormatError;
use super::gguf_value::{Metadata, Strings};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    Model, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, PreTokenizerWrapper,
    SplitDelimiterBehavior,
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

/// The cuts and the merges of one vocabulary.
pub struct MergedBytes {
    bpe: BPE,
    cuts: Vec<PreTokenizerWrapper>,
}

impl MergedBytes {
    /// What the metadata describes, for the vocabulary `tokens`.
    pub fn new(metadata: &Metadata, tokens: &Strings) -> Result<MergedBytes, FormatError> {
        let pre = pre_name(metadata)?;
        let cuts = cuts(pre)?;
        // From the last to the first, so that of two equal tokens the first gets the text.
        let ids = (0..tokens.len()).rev();
        let entry = |id: usize| Some((tokens.get(id)?.to_string(), id as u32));
        let vocab: Vocab = ids.filter_map(entry).collect();
        let merges = metadata.strings("tokenizer.ggml.merges")?.iter().map(parse_merge);
        let merges = merges.collect::<Result<Vec<_>, _>>()?;
        // Llama 3 takes a word that is a token whole, whatever its merges say.
        let whole_words = is_llama3(pre);
        let builder = BPE::builder().vocab_and_merges(vocab, merges).ignore_merges(whole_words);
        Ok(MergedBytes { bpe: builder.build().map_err(broken)?, cuts })
    }

    /// Appends the ids of a text.
    pub fn encode(&self, text: &str, ids: &mut Vec<u32>) {
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

/// How a text is cut before merging; `pre` is the GGUF's name for it.
fn cuts(pre: &str) -> Result<Vec<PreTokenizerWrapper>, FormatError> {
    let words = |pattern: &str| -> Result<Vec<PreTokenizerWrapper>, FormatError> {
        let pattern = SplitPattern::Regex(pattern.into());
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(broken)?;
        Ok(vec![split.into(), ByteLevel::new(false, false, false).into()])
    };
    match pre {
        "gpt-2" => Ok(vec![ByteLevel::new(false, false, true).into()]),
        "smollm" => Ok(vec![Digits::new(true).into(), ByteLevel::new(false, false, true).into()]),
        "llama-bpe" | "llama3" | "llama-v3" => words(LLAMA3_WORDS),
        "qwen2" | "deepseek-r1-qwen" => words(QWEN2_WORDS),
        _ => {
            let (found, supported) = (pre.to_string(), "smollm, llama-bpe, qwen2, gpt-2");
            Err(FormatError::Unsupported { what: "the pre-tokenizer", found, supported })
        }
    }
}

/// The two halves of a merge, which a space parts.
fn parse_merge(merge: &str) -> Result<(String, String), FormatError> {
    let halves =
        merge.split_once(' ').filter(|(left, right)| !left.is_empty() && !right.is_empty());
    let halves = halves.map(|(left, right)| (left.to_string(), right.to_string()));
    halves.ok_or_else(|| broken(format!("the merge {merge:?} is not two tokens")))
}

fn broken(reason: impl ToString) -> FormatError {
    FormatError::Tokenizer { reason: reason.to_string() }
}
