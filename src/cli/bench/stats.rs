//! What measurements of a model share: medians, and tokens to run on.
//!
//! It knows no model and no clock.

/// The median; the upper one of two.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// `n` tokens of a vocabulary. Any do, since speed does not depend on which; a fixed stride keeps them apart, and another
/// `start` gives others.
pub fn tokens(n: usize, vocab: usize, start: usize) -> Vec<u32> {
    (0..n).map(|i| (((i + start) * 7919) % vocab) as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 4.0);
    }

    #[test]
    fn tokens_are_of_the_vocabulary_and_differ() {
        let few = tokens(8, 100, 1);
        assert!(few.iter().all(|token| *token < 100));
        assert_ne!(few, tokens(8, 100, 2));
    }
}
