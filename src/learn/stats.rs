//! The statistics of the gate: exact tests on answers, t intervals on losses, evidence over many cycles.
//!
//! It knows only numbers. Invariant: everything is computed, nothing is drawn, so the same evidence gives the same
//! decision on every platform.

use serde::{Deserialize, Serialize};

/// One-sided exact McNemar test: P(Bin(b + c, 1/2) >= b), the chance of at least `b` changes against us among
/// `b + c` changes if both directions were equally likely. 1 without changes.
pub fn mcnemar(b: usize, c: usize) -> f64 {
    let n = b + c;
    let log_half = (n as f64) * 0.5_f64.ln();
    let tail: f64 = (b..=n).map(|k| (ln_choose(n, k) + log_half).exp()).sum();
    tail.min(1.0)
}

/// Evidence that losses outweigh gains, over any number of cycles (an e-process: alarm at 20 keeps the chance of
/// a false alarm under 5 % however often one looks).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EProcess {
    /// Items right before and wrong after.
    pub losses: usize,
    /// Items wrong before and right after.
    pub gains: usize,
}

impl EProcess {
    /// With more pairs.
    pub fn with(self, losses: usize, gains: usize) -> Self {
        Self { losses: self.losses + losses, gains: self.gains + gains }
    }

    /// `2^(b+c) * mean over p in (1/2, 1) of p^b (1-p)^c`, on 200 midpoints, in logs against overflow.
    pub fn e_value(self) -> f64 {
        const POINTS: usize = 200;
        let (b, c) = (self.losses as f64, self.gains as f64);
        let log = |i: usize| {
            let p = 0.5 + 0.5 * (i as f64 + 0.5) / POINTS as f64;
            b * (2.0 * p).ln() + c * (2.0 * (1.0 - p)).ln()
        };
        let logs: Vec<f64> = (0..POINTS).map(log).collect();
        let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        logs.iter().map(|log| (log - top).exp()).sum::<f64>() / POINTS as f64 * top.exp()
    }
}

/// Mean and one-sided 95 % bounds of paired differences.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// Lower one-sided 95 % bound.
    pub lower: f64,
    /// Upper one-sided 95 % bound.
    pub upper: f64,
    /// One-sided p of the hypothesis that the mean is 0 or less.
    pub p_above: f64,
}

/// The paired t interval of differences; with a single one the bounds are infinite and p is 0.5.
pub fn paired_t(differences: &[f64]) -> Interval {
    let n = differences.len() as f64;
    if differences.is_empty() {
        return Interval {
            mean: 0.0,
            lower: f64::NEG_INFINITY,
            upper: f64::INFINITY,
            p_above: 1.0,
        };
    }
    let mean = differences.iter().sum::<f64>() / n;
    if differences.len() == 1 {
        let (lower, upper) = (f64::NEG_INFINITY, f64::INFINITY);
        return Interval { mean, lower, upper, p_above: 0.5 };
    }
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let error = (variance / n).sqrt();
    let freedom = n - 1.0;
    let reach = t_quantile_95(freedom) * error;
    let p_above = match (error > 0.0, mean) {
        (true, _) => 1.0 - t_cdf(mean / error, freedom),
        (false, mean) if mean > 0.0 => 0.0,
        (false, _) => 1.0,
    };
    Interval { mean, lower: mean - reach, upper: mean + reach, p_above }
}

/// P(T <= t) of Student's t.
pub fn t_cdf(t: f64, freedom: f64) -> f64 {
    let tail = 0.5 * beta_share(freedom / (freedom + t * t), freedom / 2.0, 0.5);
    if t > 0.0 { 1.0 - tail } else { tail }
}

/// The t that 95 % of Student's distribution lies under.
fn t_quantile_95(freedom: f64) -> f64 {
    let (mut low, mut high) = (0.0, 10.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if t_cdf(middle, freedom) < 0.95 {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// Median deviations from where on a value stands out (Iglewicz & Hoaglin 1993).
const STANDS_OUT: f64 = 3.5;

/// A median absolute deviation times this is the standard deviation of what is normally distributed.
const TO_DEVIATIONS: f64 = 1.4826;

/// The value above which others stand out from `usual`; values that are all alike deviate by a tenth of their median.
pub fn outlying_above(usual: &[f64]) -> f64 {
    let middle = median(usual);
    let deviations: Vec<f64> = usual.iter().map(|value| (value - middle).abs()).collect();
    let deviation = (TO_DEVIATIONS * median(&deviations)).max(0.1 * middle.abs());
    middle + STANDS_OUT * deviation
}

/// The upper median; 0 of nothing.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// The regularized incomplete beta function I_x(a, b), by Lentz's continued fraction.
fn beta_share(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        // The fraction converges fast only on this side.
        return 1.0 - beta_share(1.0 - x, b, a);
    }
    let front = a * x.ln() + b * (1.0 - x).ln() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b);
    let guard = |v: f64| if v.abs() < 1e-300 { 1e-300 } else { v };
    let mut d = 1.0 / guard(1.0 - (a + b) * x / (a + 1.0));
    let (mut c, mut fraction) = (1.0, d);
    for m in 1..500 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / guard(1.0 + term * d);
            c = guard(1.0 + term / c);
            change = c * d;
            fraction *= change;
        }
        if (change - 1.0).abs() < 1e-14 {
            break;
        }
    }
    front.exp() * fraction / a
}

/// ln of the binomial coefficient.
fn ln_choose(n: usize, k: usize) -> f64 {
    let ln_factorial = |m: usize| ln_gamma(m as f64 + 1.0);
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// ln of the gamma function for x > 0: Stirling's series after shifting x over 12, good to 1e-13.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < 12.0 {
        shift += x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    let series = (1.0 / 12.0
        - inverse * (1.0 / 360.0 - inverse * (1.0 / 1260.0 - inverse * (1.0 / 1680.0))))
        / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - shift
}
