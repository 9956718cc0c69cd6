//! The learning rate of a step: linear warm-up, then a cosine down to a tenth of the peak.

/// A schedule over a planned number of steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Peak learning rate.
    pub peak: f32,
    /// Steps of warm-up.
    pub warmup: usize,
    /// Steps planned in all; later steps stay at the end of the cosine.
    pub steps: usize,
}

/// The cosine's end, as a share of the peak.
const FLOOR: f32 = 0.1;

impl Schedule {
    /// The rate of step `step`, counted from 0 (Loshchilov & Hutter 2017, eq. 5, without restarts).
    pub fn rate(&self, step: usize) -> f32 {
        if step < self.warmup {
            return self.peak * (step + 1) as f32 / self.warmup as f32;
        }
        let span = self.steps.saturating_sub(self.warmup).max(1);
        let share = ((step - self.warmup) as f32 / span as f32).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f32::consts::PI * share).cos());
        self.peak * (FLOOR + (1.0 - FLOOR) * cosine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warms_up_then_decays_to_a_tenth() {
        let schedule = Schedule { peak: 1.0, warmup: 4, steps: 14 };
        let near = |step, want: f32| {
            let got = schedule.rate(step);
            assert!((got - want).abs() < 1e-6, "step {step}: {got}, not {want}");
        };
        near(0, 0.25);
        near(3, 1.0);
        near(4, 1.0);
        near(9, 0.55);
        near(14, 0.1);
        near(100, 0.1);
    }
}
