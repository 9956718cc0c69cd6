//! The words of a text, to tell whether another text is of its kind: code of the same house, notes on the same matter.
//!
//! Two texts are compared by the overlap coefficient of their words (Simpson 1943: shared words by those of the smaller
//! set), passage by passage, so that the answer does not depend on how many passages were learned. It knows no
//! examples. Invariant: words that carry no subject, and those of one or two letters, count for nothing.

use super::words::{is_function_word, words};
use std::collections::BTreeSet;

/// Overlap from where on two texts are of one kind: between what unseen code of a house has with its nearest passage and what
/// neutral texts, questions and requests have (`bench/learning/data`, held by `tests/it/learn_scope.rs`).
const NEAR: f64 = 0.4;

/// Fewest words that two texts must share.
const SHARED_MIN: usize = 4;

/// Letters of the shortest word that counts.
const LETTERS_MIN: usize = 3;

/// The distinct words of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vocabulary(BTreeSet<String>);

impl Vocabulary {
    /// The words of a text.
    pub fn of(text: &str) -> Vocabulary {
        let counts = |word: &String| word.chars().count() >= LETTERS_MIN && !is_function_word(word);
        Vocabulary(words(text).into_iter().filter(counts).collect())
    }

    /// Whether two texts are of one kind.
    pub fn is_near(&self, other: &Vocabulary) -> bool {
        let shared = self.0.intersection(&other.0).count();
        let smaller = self.0.len().min(other.0.len());
        shared >= SHARED_MIN && shared as f64 >= NEAR * smaller as f64
    }
}
