//! Measuring what earlier learning needs of the adapter: the true Fisher information, a text at a time.
//!
//! The texts are the model's own draws from its own distribution (not the data's labels, which give the empirical Fisher;
//! Kunstner et al. 2019), and each text's gradient is squared by itself. It knows no penalty. Invariant: the adapter is not
//! moved.

use super::TrainError;
use super::importance::Importance;
use super::pack::{Goal, Sequence};
use super::trainer::Trainer;
use crate::device::Recording;
use crate::model::Model;
use crate::model::score::Scored;

impl Trainer {
    /// The importance at the adapter in place, from texts that the model drew at their counted tokens. The trainer must
    /// have been made for a penalty; its gradient is undefined afterwards.
    pub async fn measure(&self, model: &Model, texts: &[Scored]) -> Result<Importance, TrainError> {
        let ewc = self.ewc.as_ref().ok_or(TrainError::NothingToLearn)?;
        let mut rec = Recording::new();
        ewc.clear(&mut rec);
        self.device.submit(rec)?;
        let (mut measured, mut rows) = (0, 0);
        for Scored { tokens, counted } in texts {
            let text = Sequence {
                tokens: tokens.clone(),
                counted: counted.clone(),
                goal: Goal::Tokens,
                weight: 1.0,
            };
            // The gradient of the log-probability of the whole text, a sum over its tokens.
            let text = Sequence { weight: text.targets() as f32, ..text };
            if text.targets() == 0 {
                continue;
            }
            self.zero_grad()?;
            self.accumulate_into(&self.grads, Some(ewc), model, &[text]).await?;
            let mut rec = Recording::new();
            ewc.add_gradient(&mut rec, &self.grads, &self.parts())?;
            self.device.submit(rec)?;
            measured += 1;
            rows += tokens.len();
        }
        if measured == 0 {
            return Err(TrainError::NothingToLearn);
        }
        Ok(ewc.measured(&self.device, measured, rows).await?)
    }
}
