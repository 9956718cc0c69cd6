//! Sequences side by side in the rows of a pass; what several in a row begin with stands there once.
//!
//! A chat template opens every conversation with the same words, often half of a short lesson's tokens. Rows of a later
//! sequence see the first one's opening and, behind a hole, themselves, so all that is computed is what each would compute by
//! itself (as in tree attention; Cai et al. 2024). It knows no targets' meaning. Invariant: the rows that see a key are a range
//! without a gap, which the keys' gradients need.

use super::pass::{Row, causal_rows};
use std::ops::Range;

/// Tokens from which on an opening is worth sharing.
const SHARED_MIN: usize = 8;

/// A sequence to be laid out.
#[derive(Debug, Clone, Copy)]
pub struct Lying<'a> {
    /// Its tokens.
    pub tokens: &'a [u32],
    /// For each token: is it a target? The first never is.
    pub counted: &'a [bool],
}

impl Lying<'_> {
    /// How many of its first tokens may stand for another's too: a target's row, which is the one before it, is its own.
    fn shareable(&self) -> usize {
        let first = self.counted.iter().skip(1).position(|counted| *counted);
        first.unwrap_or(self.tokens.len().saturating_sub(1))
    }

    /// How many first tokens of both are the same and may be shared.
    fn alike(&self, other: &Lying<'_>) -> usize {
        let same = self.tokens.iter().zip(other.tokens).take_while(|(a, b)| a == b).count();
        same.min(self.shareable()).min(other.shareable())
    }
}

/// Where a sequence lies in a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its index among all.
    pub sequence: usize,
    /// First row of what it shares, how many those are, and first row of its own.
    rows: [usize; 3],
}

impl Place {
    /// The row of its token `i`.
    pub fn row(&self, i: usize) -> usize {
        let [first, shared, own] = self.rows;
        if i < shared { first + i } else { own + i - shared }
    }
}

/// The rows of one pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pass {
    /// The rows.
    pub rows: Vec<Row>,
    /// For each row as a key: the query rows that see it.
    pub key_spans: Vec<[u32; 2]>,
    /// The sequences, in order.
    pub places: Vec<Place>,
}

impl Pass {
    /// Lays out sequences that share their first `shared` tokens; alone, one shares nothing.
    fn push(&mut self, all: &[Lying<'_>], run: Range<usize>, shared: usize) {
        let (first, shared) = (self.rows.len(), if run.len() > 1 { shared } else { 0 });
        let end = first
            + shared
            + all[run.clone()].iter().map(|s| s.tokens.len() - shared).sum::<usize>();
        for sequence in run {
            let tokens = all[sequence].tokens;
            let (at, is_first) = (self.rows.len(), self.rows.len() == first);
            let own = if is_first { first + shared } else { at };
            let mut rows = causal_rows(tokens, first);
            if !is_first {
                rows.drain(..shared);
                for (row, key) in rows.iter_mut().zip(own as u32..) {
                    row.key = key;
                    row.span = [first as u32, key + 1, (first + shared) as u32, own as u32];
                }
            }
            let own_end = (at + rows.len()) as u32;
            self.key_spans.extend(
                (at..at + rows.len()).map(|row| {
                    [row as u32, if row < first + shared { end as u32 } else { own_end }]
                }),
            );
            self.rows.extend(rows);
            self.places.push(Place { sequence, rows: [first, shared, own] });
        }
    }
}

/// Lays sequences out, in order, in passes of at most `rows` rows; each must fit one by itself.
pub fn passes(all: &[Lying<'_>], rows: usize) -> Vec<Pass> {
    let mut passes = Vec::new();
    let mut pass = Pass::default();
    let (mut run, mut shared, mut run_tokens) = (0..0, 0, 0);
    for (index, sequence) in all.iter().enumerate() {
        let len = sequence.tokens.len();
        assert!(len <= rows, "{len} tokens in {rows}");
        let alike =
            all[..index].get(run.start).map_or(0, |first| shared.min(first.alike(sequence)));
        let longer = run_tokens + len - alike * run.len();
        if alike >= SHARED_MIN && pass.rows.len() + longer <= rows {
            (run.end, shared, run_tokens) = (index + 1, alike, run_tokens + len);
            continue;
        }
        pass.push(all, run, shared);
        if pass.rows.len() + len > rows {
            passes.push(std::mem::take(&mut pass));
        }
        (run, shared, run_tokens) = (index..index + 1, sequence.shareable(), len);
    }
    pass.push(all, run, shared);
    passes.push(pass);
    passes.retain(|pass| !pass.rows.is_empty());
    passes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens from 100 on are targets.
    fn lying(texts: &[Vec<u32>]) -> (Vec<Vec<bool>>, usize) {
        let counted = texts.iter().map(|text| text.iter().map(|token| *token >= 100).collect());
        (counted.collect(), texts.iter().map(Vec::len).sum())
    }

    fn laid_out(texts: &[Vec<u32>], rows: usize) -> Vec<Pass> {
        let (counted, _) = lying(texts);
        let all = texts.iter().zip(&counted).map(|(tokens, counted)| Lying { tokens, counted });
        passes(&all.collect::<Vec<_>>(), rows)
    }

    /// The tokens that a row sees, itself last.
    fn seen(pass: &Pass, row: usize) -> Vec<u32> {
        let [lo, hi, hole, end] = pass.rows[row].span;
        (lo..hi)
            .filter(|key| *key < hole || *key >= end)
            .map(|key| pass.rows[key as usize].token)
            .collect()
    }

    fn opening(rest: &[u32]) -> Vec<u32> {
        (1..=10).chain(rest.iter().copied()).collect()
    }

    #[test]
    fn every_token_sees_what_it_sees_alone() {
        let texts = [
            opening(&[20, 100, 101]),
            opening(&[21, 22, 102]),
            vec![5, 6, 103],
            opening(&[104]),
            opening(&[20, 23, 105, 30]),
        ];
        for rows in [14, 17, 30, 64] {
            let passes = laid_out(&texts, rows);
            let mut order = Vec::new();
            for pass in &passes {
                assert!(pass.rows.len() <= rows);
                for place in &pass.places {
                    let text = &texts[place.sequence];
                    order.push(place.sequence);
                    for i in 0..text.len() {
                        let row = place.row(i);
                        assert_eq!(
                            seen(pass, row),
                            text[..=i],
                            "{rows} rows, text {}",
                            place.sequence
                        );
                        assert_eq!(
                            (pass.rows[row].position, pass.rows[row].key),
                            (i as u32, row as u32)
                        );
                    }
                }
                for (key, [from, to]) in pass.key_spans.iter().enumerate() {
                    let sees = |row: &usize| {
                        let [lo, hi, hole, end] = pass.rows[*row].span.map(|at| at as usize);
                        (lo..hi).contains(&key) && !(hole..end).contains(&key)
                    };
                    let rows: Vec<usize> = (0..pass.rows.len()).filter(sees).collect();
                    assert_eq!(rows, (*from as usize..*to as usize).collect::<Vec<_>>());
                }
            }
            assert_eq!(order, [0, 1, 2, 3, 4]);
        }
        // 13 + 3 rows of the first two, 3 of the third, 11 + 4 of the last two; the target of the fourth keeps it from
        // sharing more than nine.
        assert_eq!(laid_out(&texts, 64)[0].rows.len(), 13 + 3 + 3 + 11 + 5);
    }

    #[test]
    fn a_target_s_row_is_its_own() {
        let texts = [opening(&[100]), opening(&[101]), opening(&[102])];
        let pass = &laid_out(&texts, 64)[0];
        let rows: Vec<usize> = pass.places.iter().map(|place| place.row(9)).collect();
        assert_eq!(rows, [9, 11, 13]);
        assert_eq!(pass.rows.len(), 9 + 2 * 3);
    }
}
