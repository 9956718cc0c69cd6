//! The gate's margins: how much of what nobody taught a cycle may move before it is stopped.
//!
//! Numbers only; the gate applies them. Invariant: a record that lacks a margin reads as the standard one, or, where a
//! field says so, as without end, so that older cycles are repeated as they were.

use serde::{Deserialize, Serialize};

/// The gate's margins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GatePolicy {
    /// Significance level of a proven regression.
    pub alpha: f64,
    /// E-value at which the drift over many cycles is proven.
    pub e_alarm: f64,
    /// Least share of the taught examples that must be said.
    pub taught_share: f64,
    /// Net share of core answers that may be lost.
    pub core_drop: f64,
    /// Share of the mean margin of right core answers that may be lost; without end where older programs wrote the policy down,
    /// so that their cycles are repeated as they were.
    #[serde(default = "without_end")]
    pub core_margin_drop: f64,
    /// Net share of right refusals that may be lost.
    pub refusals_drop: f64,
    /// Net share of everyday answers that may collapse.
    pub everyday_drop: f64,
    /// Mean rise of the loss on the base's own everyday answers that is normal, nats a token.
    pub everyday_rise: f64,
    /// Mean fall of the surprise of the model's own words that is normal, nats a token; without end as above.
    #[serde(default = "without_end")]
    pub variety_drop: f64,
    /// Net share of earlier lessons that may be lost.
    pub kept_drop: f64,
    /// Share of the earlier lessons under which none more may be lost: small losses of many cycles do not add up.
    pub kept_floor: f64,
    /// Mean rise of neutral text's loss that is normal, nats a token.
    pub language_rise: f64,
    /// Mean rise of earlier documents' loss that is normal, nats a token.
    pub documents_rise: f64,
    /// Whether a candidate of which nothing is known that it was taught may pass, if it costs nothing.
    pub unknown_lessons: bool,
}

impl Default for GatePolicy {
    fn default() -> Self {
        // FACTS 4.6: good cycles raised neutral text by 0.005 to 0.06 nats; 4.4: 3 points of answers.
        Self {
            alpha: 0.05,
            e_alarm: 20.0,
            // What is not said yet waits for the next cycle, so some of it is worth a version.
            taught_share: 0.25,
            core_drop: 0.03,
            core_margin_drop: 0.18,
            refusals_drop: 0.05,
            everyday_drop: 0.0,
            everyday_rise: 0.5,
            variety_drop: 0.5,
            kept_drop: 0.05,
            kept_floor: 0.95,
            language_rise: 0.08,
            documents_rise: 0.1,
            unknown_lessons: false,
        }
    }
}

fn without_end() -> f64 {
    f64::INFINITY
}

impl GatePolicy {
    /// A gate that lets everything pass but a lesson that was said before and is not after: for benches.
    pub fn open() -> Self {
        Self {
            alpha: 0.0,
            e_alarm: f64::INFINITY,
            taught_share: 0.0,
            core_drop: 1.0,
            core_margin_drop: f64::INFINITY,
            refusals_drop: 1.0,
            everyday_drop: 1.0,
            everyday_rise: f64::INFINITY,
            variety_drop: f64::INFINITY,
            kept_drop: 1.0,
            kept_floor: 0.0,
            language_rise: f64::INFINITY,
            documents_rise: f64::INFINITY,
            unknown_lessons: false,
        }
    }
}
