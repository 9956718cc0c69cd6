//! The losses of a pass, in chunks of targets, and their gradient on the last layer's output.
//!
//! Cross entropy with the sequence's own tokens, or KL to the base's distribution, whose logits are made from its last
//! hidden rows. It knows no layers. Invariant: logits exist for one chunk of targets at a time.

use super::TrainError;
use super::batch_loss::BatchLoss;
use super::pack::{Pack, Weighted};
use super::trainer::Trainer;
use crate::device::Recording;
use crate::kernels;
use crate::model::forward::Net;
use crate::model::pass::gather_rows;

impl Trainer {
    /// Losses of all targets, and their gradient on the last layer's output.
    pub(super) fn losses(&self, net: &Net<'_>, pack: &Pack) -> Result<(), TrainError> {
        for (i, chunk) in pack.tokens.chunks(self.head.rows).enumerate() {
            self.loss_chunk(net, pack, chunk, i, None)?;
        }
        let first = pack.tokens.len().div_ceil(self.head.rows);
        let dim = net.config.dim;
        let teachers = pack.teacher.chunks(self.head.rows * dim);
        for (i, (chunk, teacher)) in pack.base.chunks(self.head.rows).zip(teachers).enumerate() {
            self.loss_chunk(net, pack, chunk, first + i, Some(teacher))?;
        }
        Ok(())
    }

    fn loss_chunk(
        &self,
        net: &Net<'_>,
        pack: &Pack,
        chunk: &[Weighted],
        index: usize,
        teacher: Option<&[f32]>,
    ) -> Result<(), TrainError> {
        let head = &self.head;
        let n = chunk.len();
        let at = (4 * index * head.stride) as u64;
        let bytes = 4 * n as u64;
        let column = |f: fn(&Weighted) -> u32| chunk.iter().map(f).collect::<Vec<u32>>();
        self.device.write(&head.indices, at, &column(|w| w.target.row))?;
        self.device.write(&head.labels, at, &column(|w| w.target.label))?;
        self.device.write(&head.weights, at, &column(|w| w.weight.to_bits()))?;
        let indices = head.indices.slice(at, bytes);
        let weights = head.weights.slice(at, bytes);
        let losses = head.losses.slice(at, bytes);
        let (h, norm) = (head.h.top(n), head.norm.top(n));
        let (d_h, d_norm) = (head.d_h.top(n), head.d_norm.top(n));
        let logits = head.logits.top(n);
        let mut rec = Recording::new();
        let last = self.h[net.config.layers].top(pack.rows.len());
        gather_rows(&mut rec, &last, &indices, &h)?;
        net.final_norm(&mut rec, &h, &norm)?;
        net.logits(&mut rec, &norm, &logits)?;
        match teacher {
            None => {
                let labels = head.labels.slice(at, bytes);
                kernels::cross_entropy(&mut rec, &labels, &weights, &logits, &losses)?;
            }
            Some(rows) => {
                self.device.write(head.teacher_norm.buffer(), 0, rows)?;
                let teacher = head.teacher.top(n);
                net.logits(&mut rec, &head.teacher_norm.top(n), &teacher)?;
                kernels::kl_divergence(&mut rec, &teacher, &weights, &logits, &losses)?;
            }
        }
        // forward: logits = norm(h) Eᵀ, the head frozen.
        kernels::matmul_dx(&mut rec, net.head(), &logits, &d_norm, false)?;
        rec.clear(&head.d_h.view);
        let gain = net.weights.out_norm.view();
        kernels::rms_norm_dx(&mut rec, &h, &gain, &d_norm, net.config.rms_eps, &d_h)?;
        kernels::scatter_rows(&mut rec, &d_h, &indices, &self.d.h.top(pack.rows.len()))?;
        self.device.submit(rec)?;
        Ok(())
    }

    /// Adds the losses of a pass to their sums.
    pub(super) async fn read_losses(
        &self,
        pack: &Pack,
        loss: &mut BatchLoss,
    ) -> Result<(), TrainError> {
        loss.rows += pack.rows.len();
        loss.n_tokens += pack.tokens.len();
        loss.n_base += pack.base.len();
        let values = self.device.read::<f32>(&self.head.losses.view()).await?;
        let mut chunks = values.chunks(self.head.stride);
        for (targets, sum) in [(&pack.tokens, &mut loss.tokens), (&pack.base, &mut loss.base)] {
            for (targets, values) in targets.chunks(self.head.rows).zip(&mut chunks) {
                *sum += values[..targets.len()].iter().sum::<f32>();
            }
        }
        Ok(())
    }
}
