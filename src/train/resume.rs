//! A run's memory of its steps, read back and put back: with the adapter of then, it goes on as if it had never stopped.
//!
//! It knows no files. Invariant: nothing else of a trainer outlives a step.

use super::TrainError;
use super::trainer::Trainer;

impl Trainer {
    /// AdamW's first and second moments, in the adapter's flat order.
    pub async fn moments(&self) -> Result<[Vec<f32>; 2], TrainError> {
        let bytes = 4 * self.layout().len as u64;
        let first = self.device.read(&self.m.buffer.slice(0, bytes)).await?;
        let second = self.device.read(&self.v.buffer.slice(0, bytes)).await?;
        Ok([first, second])
    }

    /// Makes a new run what it was after `steps` steps, when it had these moments; the adapter of then must be put in place
    /// too. Panics if they are of another layout.
    pub fn resume(&mut self, steps: u32, moments: [&[f32]; 2]) -> Result<(), TrainError> {
        for (flat, moment) in [&self.m, &self.v].into_iter().zip(moments) {
            assert_eq!(moment.len(), self.layout().len, "moments of this layout");
            self.device.write(&flat.buffer, 0, moment)?;
        }
        self.step = steps;
        Ok(())
    }
}
