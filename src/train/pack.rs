//! Packing: several sequences side by side in the rows of one pass, each seeing only itself and an opening that it shares.
//!
//! A sequence carries what is learned at each of its positions: nothing, the token that follows (cross entropy),
//! or the base model's distribution (KL). Invariant: a target's weight is its share of the batch's mean, so that
//! gradients of several packs add up to the gradient of the batch.

use crate::model::pass::{Row, Target};
use crate::model::prefix::{Lying, Place, passes};

/// One sequence of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// For each token: is it learned? The first never is.
    pub counted: Vec<bool>,
    /// What is learned there.
    pub goal: Goal,
    /// The sequence's share of the batch.
    pub weight: f32,
}

/// What a sequence pulls towards.
#[derive(Debug, Clone, PartialEq)]
pub enum Goal {
    /// Its own tokens.
    Tokens,
    /// The base model's distributions: its normed last hidden rows at the counted targets, `[targets, dim]`.
    Base(Vec<f32>),
}

impl Sequence {
    /// How many targets it has.
    pub fn targets(&self) -> usize {
        self.counted.iter().skip(1).filter(|counted| **counted).count()
    }
}

/// A target with its weight in the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weighted {
    /// Where, and which token follows.
    pub target: Target,
    /// Its factor in the loss.
    pub weight: f32,
}

/// Rows of one pass.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pack {
    /// The rows.
    pub rows: Vec<Row>,
    /// For each row as a key: the query rows that see it.
    pub key_spans: Vec<[u32; 2]>,
    /// Targets learned by cross entropy.
    pub tokens: Vec<Weighted>,
    /// Targets learned by KL to the base.
    pub base: Vec<Weighted>,
    /// The base's normed hidden rows for `base`.
    pub teacher: Vec<f32>,
}

impl Pack {
    /// Adds the targets of a sequence that lies at `place`.
    fn aim(&mut self, sequence: &Sequence, place: &Place) {
        let weight = sequence.weight / sequence.targets().max(1) as f32;
        let targets = (1..sequence.tokens.len()).filter(|&i| sequence.counted[i]).map(|i| {
            let target = Target { row: place.row(i - 1) as u32, label: sequence.tokens[i] };
            Weighted { target, weight }
        });
        match &sequence.goal {
            Goal::Tokens => self.tokens.extend(targets),
            Goal::Base(hidden) => {
                self.base.extend(targets);
                self.teacher.extend(hidden);
            }
        }
    }
}

/// Packs sequences, in order, into passes of at most `rows` rows; each must fit one by itself.
pub fn packs(sequences: &[Sequence], rows: usize) -> Vec<Pack> {
    let lying = sequences.iter().map(|s| Lying { tokens: &s.tokens, counted: &s.counted });
    let packed = passes(&lying.collect::<Vec<_>>(), rows).into_iter().map(|pass| {
        let mut pack = Pack { rows: pass.rows, key_spans: pass.key_spans, ..Pack::default() };
        for place in &pass.places {
            pack.aim(&sequences[place.sequence], place);
        }
        pack
    });
    packed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(tokens: &[u32], weight: f32) -> Sequence {
        let counted = tokens.iter().map(|token| *token >= 10).collect();
        Sequence { tokens: tokens.to_vec(), counted, goal: Goal::Tokens, weight }
    }

    #[test]
    fn sequences_share_a_pass_and_see_only_themselves() {
        let all =
            [sequence(&[1, 10, 11], 0.5), sequence(&[2, 12], 0.5), sequence(&[3, 4, 5, 13], 1.0)];
        let packs = packs(&all, 5);
        assert_eq!(packs.len(), 2);
        let first = &packs[0];
        let spans: Vec<_> = first.rows.iter().map(|row| (row.position, row.span)).collect();
        assert_eq!(spans[2], (2, [0, 3, 0, 0]));
        assert_eq!(spans[3], (0, [3, 4, 0, 0]));
        assert_eq!(first.key_spans, [[0, 3], [1, 3], [2, 3], [3, 5], [4, 5]]);
        let rows: Vec<_> = first.tokens.iter().map(|w| (w.target.row, w.target.label)).collect();
        assert_eq!(rows, [(0, 10), (1, 11), (3, 12)]);
        // A sequence counts once, whatever its length.
        assert_eq!(first.tokens.iter().map(|w| w.weight).collect::<Vec<_>>(), [0.25, 0.25, 0.5]);
        assert_eq!(packs[1].tokens[0].target, Target { row: 2, label: 13 });
    }
}
