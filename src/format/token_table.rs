//! Which token has a text: an open-addressing table of ids over the vocabulary's own texts.
//!
//! A map of owned strings would take five times the vocabulary's bytes in its file; this shares the metadata's texts and
//! takes 12 bytes an entry at most. It knows nothing of what tokens mean. Invariant: of equal texts the first one entered is found.

use super::gguf_value::Strings;
use std::hash::{BuildHasher, RandomState};

/// No token.
const EMPTY: u32 = u32::MAX;

/// Tokens by their texts.
pub struct TokenTable {
    texts: Strings,
    /// Ids at their texts' hashes, or behind; a power of two, a third of them empty at least.
    slots: Vec<u32>,
    hasher: RandomState,
}

impl TokenTable {
    /// The tokens `ids` among those with these texts, in order.
    pub fn new(texts: &Strings, ids: impl Iterator<Item = u32>) -> TokenTable {
        let n = texts.len().max(1);
        let slots = vec![EMPTY; (n + n / 2).next_power_of_two().max(4)];
        let mut table = TokenTable { texts: texts.clone(), slots, hasher: RandomState::new() };
        for id in ids {
            let text = table.texts.get(id as usize).expect("an id of the vocabulary");
            if let Err(slot) = table.find(text) {
                table.slots[slot] = id;
            }
        }
        table
    }

    /// The token with this text.
    pub fn get(&self, text: &str) -> Option<u32> {
        self.find(text).ok()
    }

    /// The token with this text, or the slot where it would be.
    fn find(&self, text: &str) -> Result<u32, usize> {
        let mask = self.slots.len() - 1;
        let mut slot = self.hasher.hash_one(text) as usize & mask;
        loop {
            match self.slots[slot] {
                EMPTY => return Err(slot),
                id if self.texts.get(id as usize) == Some(text) => return Ok(id),
                _ => slot = (slot + 1) & mask,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_is_found_and_nothing_else() {
        let texts: Strings = ["b", "a", "", "a", "ab"].into_iter().collect();
        let table = TokenTable::new(&texts, 0..5);
        assert_eq!(
            ["b", "a", "", "ab", "c"].map(|t| table.get(t)),
            [Some(0), Some(1), Some(2), Some(4), None]
        );
        let some = TokenTable::new(&texts, [3, 1].into_iter());
        assert_eq!(["a", "b"].map(|t| some.get(t)), [Some(3), None]);
        assert_eq!(TokenTable::new(&Strings::default(), 0..0).get("a"), None);
    }
}
