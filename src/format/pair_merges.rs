//! Byte-level BPE's merging: of a word's neighbours, the pair that was learned first becomes one token, until none is left
//! (Sennrich et al. 2016, with GPT-2's byte alphabet).
//!
//! Not through the `tokenizers` crate: its maps of owned strings take ten times a vocabulary's bytes in its file, this
//! takes the texts once and 16 bytes a merge. It knows no cuts. Invariant: merges are sorted by their pair, one a pair.

use super::byte_level::char_of_byte;
use super::error::FormatError;
use super::gguf_value::Strings;
use super::token_table::TokenTable;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Characters of the byte alphabet lie under this.
const ALPHABET_END: usize = 324;

/// A vocabulary and its merges.
pub struct PairMerges {
    tokens: TokenTable,
    merges: Vec<Merge>,
    /// The token of each character of the byte alphabet, by its code.
    alphabet: Vec<Option<u32>>,
}

/// Two neighbours and what they become.
#[derive(Clone, Copy)]
struct Merge {
    pair: [u32; 2],
    rank: u32,
    made: u32,
}

/// A token of a word under way; merged into its left neighbour, it is gone.
struct Symbol {
    id: u32,
    left: Option<usize>,
    right: Option<usize>,
    gone: bool,
}

impl PairMerges {
    /// The merges as GGUF writes them (`left right`), of tokens with these texts.
    pub fn new(texts: &Strings, merges: &Strings) -> Result<PairMerges, FormatError> {
        let tokens = TokenTable::new(texts, 0..texts.len() as u32);
        let mut list = Vec::with_capacity(merges.len());
        let mut made = String::new();
        for (rank, text) in merges.iter().enumerate() {
            let halves = text.split_once(' ').filter(|(l, r)| !l.is_empty() && !r.is_empty());
            let Some((left, right)) = halves else {
                return Err(broken(format!("the merge {text:?} is not two tokens")));
            };
            made.clear();
            made.extend([left, right]);
            let id = |text: &str| {
                tokens.get(text).ok_or_else(|| {
                    let known = "is not in the vocabulary";
                    broken(format!("the merge of {left:?} and {right:?}: {text:?} {known}"))
                })
            };
            let (pair, made) = ([id(left)?, id(right)?], id(&made)?);
            list.push(Merge { pair, rank: rank as u32, made });
        }
        // Of two merges of one pair the last one counts.
        list.sort_unstable_by_key(|merge| (merge.pair, Reverse(merge.rank)));
        list.dedup_by_key(|merge| merge.pair);
        let mut alphabet = vec![None; ALPHABET_END];
        for character in (0..=255).map(char_of_byte) {
            let text = character.encode_utf8(&mut [0; 4]).to_string();
            alphabet[character as usize] = tokens.get(&text);
        }
        Ok(PairMerges { tokens, merges: list, alphabet })
    }

    /// The token that is this whole word.
    pub fn whole(&self, word: &str) -> Option<u32> {
        self.tokens.get(word)
    }

    /// Appends the ids of a word in the byte alphabet; a byte without a token is left out.
    pub fn encode(&self, word: &str, ids: &mut Vec<u32>) {
        let token = |c: char| self.alphabet.get(c as usize).copied().flatten();
        let mut symbols: Vec<Symbol> = word
            .chars()
            .filter_map(token)
            .enumerate()
            .map(|(i, id)| Symbol { id, left: i.checked_sub(1), right: Some(i + 1), gone: false })
            .collect();
        if let Some(last) = symbols.last_mut() {
            last.right = None;
        }
        let mut queue = BinaryHeap::new();
        for left in 0..symbols.len() {
            queue.extend(self.next(&symbols, left));
        }
        while let Some(Reverse((rank, left))) = queue.pop() {
            // What was queued before a neighbour changed has another rank now, or none.
            if symbols[left].gone || self.next(&symbols, left) != Some(Reverse((rank, left))) {
                continue;
            }
            let Some((merge, right)) = self.merge(&symbols, left) else { continue };
            let after = symbols[right].right;
            symbols[right].gone = true;
            (symbols[left].id, symbols[left].right) = (merge.made, after);
            if let Some(after) = after {
                symbols[after].left = Some(left);
            }
            queue.extend(self.next(&symbols, left));
            if let Some(before) = symbols[left].left {
                queue.extend(self.next(&symbols, before));
            }
        }
        ids.extend(symbols.iter().filter(|symbol| !symbol.gone).map(|symbol| symbol.id));
    }

    /// The merge of a symbol with its right neighbour, and that neighbour.
    fn merge(&self, symbols: &[Symbol], left: usize) -> Option<(Merge, usize)> {
        let right = symbols[left].right?;
        let pair = [symbols[left].id, symbols[right].id];
        let at = self.merges.binary_search_by_key(&pair, |merge| merge.pair).ok()?;
        Some((self.merges[at], right))
    }

    /// The same as an entry of the queue: the lowest rank first, then the leftmost.
    fn next(&self, symbols: &[Symbol], left: usize) -> Option<Reverse<(u32, usize)>> {
        self.merge(symbols, left).map(|(merge, _)| Reverse((merge.rank, left)))
    }
}

fn broken(reason: String) -> FormatError {
    FormatError::Tokenizer { reason }
}
