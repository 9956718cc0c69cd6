//! Intervals of what two examinations of the same items say.
//!
//! It knows no files. Invariant: every interval is of 95 %, two-sided, and the same numbers give the same interval.

/// A number with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// The normal quantile of 97.5 %.
const Z: f64 = 1.959_963_985;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 4000;

/// The difference of two shares on the same items, after less before: Wald's interval with half a pair added to each cell
/// (Agresti and Min 2005), which holds its level in small samples.
pub fn paired_shares(before: &[bool], after: &[bool]) -> Estimate {
    let n = before.len() as f64;
    let count = |a: bool, b: bool| {
        before.iter().zip(after).filter(|(before, after)| (**before, **after) == (a, b)).count()
    };
    let (lost, won) = (count(true, false) as f64, count(false, true) as f64);
    let (lost_half, won_half, n_half) = (lost + 0.5, won + 0.5, n + 2.0);
    let middle = (won_half - lost_half) / n_half;
    let spread = (won_half + lost_half - (won_half - lost_half).powi(2) / n_half).sqrt() / n_half;
    let value = (won - lost) / n.max(1.0);
    Estimate { value, lower: middle - Z * spread, upper: middle + Z * spread }
}

/// The mean of paired differences, with the normal interval.
pub fn paired_means(before: &[f64], after: &[f64]) -> Estimate {
    let differences: Vec<f64> = before.iter().zip(after).map(|(b, a)| a - b).collect();
    let n = differences.len().max(1) as f64;
    let mean = differences.iter().sum::<f64>() / n;
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    let half = Z * (variance / n).sqrt();
    Estimate { value: mean, lower: mean - half, upper: mean + half }
}

/// The difference of a statistic of `n` items, after less before, with the percentile interval of a bootstrap over the items
/// (Efron 1979). `difference` takes the items' indices.
pub fn bootstrap(n: usize, difference: impl Fn(&[usize]) -> f64) -> Estimate {
    let all: Vec<usize> = (0..n).collect();
    let value = difference(&all);
    let mut state = 1u64;
    let mut draw = || {
        // SplitMix64 (Steele et al. 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    };
    let mut drawn: Vec<f64> = (0..RESAMPLES)
        .map(|_| difference(&(0..n).map(|_| draw()).collect::<Vec<_>>()))
        .filter(|value| value.is_finite())
        .collect();
    drawn.sort_by(f64::total_cmp);
    let at = |share: f64| drawn.get((share * drawn.len() as f64) as usize).copied();
    Estimate { value, lower: at(0.025).unwrap_or(value), upper: at(0.975).unwrap_or(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 5e-4, "{found} is not {wanted}");
    }

    #[test]
    fn paired_shares_see_what_was_lost_and_won() {
        let before = [true, true, false, false, true, true, true, true, true, true];
        let after = [false, true, true, true, true, true, true, true, true, true];
        let found = paired_shares(&before, &after);
        close(found.value, 0.1);
        assert!(found.lower < 0.0 && found.upper > 0.1, "one of ten is no proof: {found:?}");
        let same = paired_shares(&before, &before);
        close(same.value, 0.0);
        close(same.lower, -same.upper);
    }

    #[test]
    fn paired_means_are_exact_where_all_differences_are_equal() {
        let found = paired_means(&[1.0, 2.0, 5.0], &[1.5, 2.5, 5.5]);
        close(found.value, 0.5);
        close(found.lower, 0.5);
        close(found.upper, 0.5);
    }

    #[test]
    fn a_bootstrap_holds_the_truth_and_repeats_itself() {
        let values: Vec<f64> = (0..60).map(|i| f64::from(i % 7)).collect();
        let mean = |at: &[usize]| at.iter().map(|&i| values[i]).sum::<f64>() / at.len() as f64;
        let found = bootstrap(values.len(), mean);
        assert_eq!(found, bootstrap(values.len(), mean));
        // The standard error of the mean of 60 draws with a deviation of 2 is 0.26.
        assert!(found.lower < found.value && found.value < found.upper);
        assert!((found.upper - found.lower - 1.0).abs() < 0.2, "{found:?}");
    }
}
