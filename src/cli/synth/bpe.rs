//! A byte-level BPE vocabulary, made from a small corpus by merging the most frequent pair again and again.
//!
//! Sennrich et al. 2016, algorithm 1, over GPT-2's byte alphabet. It knows nothing of models and files. Invariant: the
//! same texts give the same merges, since equal counts are decided by the pair itself.

use crate::format::byte_level::{byte_level_vocab, char_of_byte};
use std::collections::BTreeMap;

/// A vocabulary: the 256 bytes, then one token a merge.
pub struct Vocabulary {
    /// Every token, in the byte alphabet.
    pub tokens: Vec<String>,
    /// The merges in the order in which they apply.
    pub merges: Vec<(String, String)>,
}

/// Merges within the words of `texts` until no pair comes `count_min` times, or after `merges_max` merges.
pub fn train<'a>(
    texts: impl Iterator<Item = &'a str>,
    merges_max: usize,
    count_min: usize,
) -> Vocabulary {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for text in texts {
        words(text).into_iter().for_each(|word| *counts.entry(word).or_default() += 1);
    }
    let mut spelled: Vec<(Vec<String>, usize)> = counts
        .into_iter()
        .map(|(word, count)| (word.bytes().map(|b| char_of_byte(b).to_string()).collect(), count))
        .collect();
    let mut vocabulary = Vocabulary { tokens: byte_level_vocab(&[]), merges: Vec::new() };
    while vocabulary.merges.len() < merges_max {
        let Some((pair, count)) = most_frequent(&spelled) else { break };
        if count < count_min {
            break;
        }
        spelled.iter_mut().for_each(|(symbols, _)| merge(symbols, &pair));
        vocabulary.tokens.push(format!("{}{}", pair.0, pair.1));
        vocabulary.merges.push(pair);
    }
    vocabulary
}

/// The pieces within which merges may lie: runs of letters with the space before them. Everything else (digits,
/// punctuation, line ends) stays single bytes, which the coarser cuts of any pre-tokenizer respect.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut in_word = false;
    for (at, c) in text.char_indices() {
        let continues = c.is_alphabetic() && (in_word || text[start..at] == *" ");
        if !continues && at > start {
            words.push(&text[start..at]);
            start = at;
        }
        in_word = c.is_alphabetic();
    }
    words.push(&text[start..]);
    words.retain(|word| word.chars().any(char::is_alphabetic));
    words
}

/// The pair with the highest count, the first in the order of strings among equals.
fn most_frequent(spelled: &[(Vec<String>, usize)]) -> Option<((String, String), usize)> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (symbols, count) in spelled {
        for pair in symbols.windows(2) {
            *counts.entry((&pair[0], &pair[1])).or_default() += count;
        }
    }
    // `max_by_key` returns the last of equals, so the order is reversed.
    let best = counts.into_iter().rev().max_by_key(|(_, count)| *count)?;
    Some(((best.0.0.to_string(), best.0.1.to_string()), best.1))
}

/// Replaces the pair by its merge, from left to right.
fn merge(symbols: &mut Vec<String>, (left, right): &(String, String)) {
    let mut at = 0;
    while at + 1 < symbols.len() {
        if symbols[at] == *left && symbols[at + 1] == *right {
            let tail = symbols.remove(at + 1);
            symbols[at].push_str(&tail);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_words_become_one_token() {
        let vocabulary = train(["the owl, the owl", "the hen"].into_iter(), 100, 2);
        let has = |token: &str| vocabulary.tokens.iter().any(|t| t == token);
        // U+0120 is the byte alphabet's space.
        assert!(has("the") && has("\u{120}owl"), "{:?}", vocabulary.merges);
        assert!(!has("\u{120}hen") && !has("\u{120}the"), "what comes once stays in pieces");
        assert_eq!(vocabulary.tokens.len(), 256 + vocabulary.merges.len());
    }

    #[test]
    fn words_keep_the_space_before_them() {
        assert_eq!(words("Tom, the\nowl  (a)"), ["Tom", " the", "owl", "a"]);
    }
}
