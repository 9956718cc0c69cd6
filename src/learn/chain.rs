//! The chain of hashes over the journal: what was written once cannot be changed or taken out unnoticed.
//!
//! After line k the chain is `h_k = sha256(h_(k-1) ‖ record_k)`, beginning with 64 zeros; line k + 1 states h_k, and a
//! record of its own states the newest. All lines are kept, in full: forgetting repeats cycles from them, and a chain
//! without gaps needs no trust in an anchor. It knows no store. Invariant: a flipped byte, a missing line or one too
//! many is found wherever it is; lines of programs that stated nothing are covered by the first line that does.

use super::report::JournalEntry;
use crate::store::sha256_hex;
use serde::{Deserialize, Serialize};

/// The newest state of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Number of the last line, 0 before the first.
    pub number: u64,
    /// sha256 over all lines up to it, hex.
    pub hash: String,
}

impl Default for Chain {
    fn default() -> Self {
        Self { number: 0, hash: "0".repeat(64) }
    }
}

impl Chain {
    /// The chain after one more line, as its record is stored.
    pub fn after(&self, number: u64, record: &[u8]) -> Chain {
        let mut bytes = self.hash.clone().into_bytes();
        bytes.extend_from_slice(record);
        Chain { number, hash: sha256_hex(&bytes) }
    }

    /// The chain over records that state nothing.
    pub fn over<'a>(records: impl Iterator<Item = (u64, &'a [u8])>) -> Chain {
        records.fold(Chain::default(), |chain, (number, record)| chain.after(number, record))
    }
}

/// Every place at which records, in the order of their keys, are not what was written; `newest` is the stated end.
pub fn breaks(records: &[(String, Vec<u8>)], newest: Option<&Chain>) -> Vec<String> {
    let mut found = Vec::new();
    let mut chain = Chain::default();
    for (key, record) in records {
        let Ok(entry) = serde_json::from_slice::<JournalEntry>(record) else {
            found.push(format!("line {key} cannot be read"));
            // Its hash still counts, so that one damaged line is one finding at the next.
            chain = chain.after(chain.number + 1, record);
            continue;
        };
        let number = entry.number;
        if *key != journal_key(number) {
            found.push(format!("line {key} says that it is line {number}"));
        }
        if let Some(before) = entry.before {
            if before != chain.hash {
                let first = chain.number.max(1);
                found.push(format!(
                    "what came before line {number} is not what was written (from line {first} on)"
                ));
            } else if number != chain.number + 1 {
                found.push(format!(
                    "between the lines {} and {number} something is missing",
                    chain.number
                ));
            }
            chain.hash = before;
        }
        chain = chain.after(number, record);
    }
    match newest {
        Some(newest) if *newest == chain => {}
        Some(newest) => found.push(format!(
            "the journal ends with line {}, but line {} was written as its last, or the last one was changed",
            chain.number, newest.number
        )),
        None if records.is_empty() => {}
        None => found.push("the record of the journal's end is missing".into()),
    }
    found
}

/// The key of a line: padded, so that the order of the keys is the order of the numbers.
pub fn journal_key(number: u64) -> String {
    format!("{number:012}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_depends_on_every_byte_and_on_the_order() {
        let over = |lines: &[&str]| {
            Chain::over(lines.iter().zip(1..).map(|(line, number)| (number, line.as_bytes()))).hash
        };
        assert_eq!(over(&["a", "b"]), over(&["a", "b"]));
        assert_ne!(over(&["a", "b"]), over(&["b", "a"]));
        assert_ne!(over(&["a", "b"]), over(&["a", "c"]));
        assert_ne!(over(&["a", "b"]), over(&["a"]));
        assert_eq!(over(&[]), "0".repeat(64));
    }
}
