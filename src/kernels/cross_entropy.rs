//! The negative log-likelihood of each row's label, and the gradient in place of the logits.
//!
//! loss = LSE(l) - l[label]; l becomes (softmax(l) - onehot(label)) weight. The weight carries the mask and the mean:
//! the loss itself is unweighted, in nats.

use super::launch::{Checks, WG, groups, params};
use super::parallel::for_each_chunk_pair_mut;
use super::softmax::exp_shifted;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::Tensor;

params! {
    rows: u32,
    cols: u32,
    pad: [u32; 2],
}

/// The kernel of [`cross_entropy`].
pub static CROSS_ENTROPY: KernelDef = KernelDef {
    name: "cross_entropy",
    wgsl: include_str!("../../shaders/cross_entropy.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// logits `[rows, vocabulary]` become their gradient, loss `[rows]` the negative log-likelihood of labels `[rows]`
/// (u32). A label past the vocabulary is none: its row's loss and gradient are zero.
pub fn cross_entropy(
    rec: &mut Recording,
    labels: &View,
    weights: &View,
    logits: &Tensor,
    loss: &View,
) -> Result<(), DeviceError> {
    Checks::new(&CROSS_ENTROPY)
        .that(logits.rows * logits.cols > 0, "no logits")
        .words("labels", labels, logits.rows)
        .words("weights", weights, logits.rows)
        .words("loss", loss, logits.rows)
        .done()?;
    let params = Params { rows: logits.rows as u32, cols: logits.cols as u32, pad: [0; 2] };
    let shape = Shape {
        overrides: &[("WG", WG)],
        groups: groups(logits.rows),
        flops: 20 * (logits.rows * logits.cols) as u64,
        ..Shape::default()
    };
    let views = [labels, weights, &logits.view, loss].map(View::clone);
    rec.dispatch(&CROSS_ENTROPY, &params, &views, &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rows, cols) = (p.rows as usize, p.cols as usize);
    let (labels, weights) = (call.input::<u32>(0), call.input::<f32>(1));
    let logits = &mut call.output::<f32>(2)[..rows * cols];
    let losses = &mut call.output::<f32>(3)[..rows];
    for_each_chunk_pair_mut((logits, cols), (losses, 1), |row, logits, loss| {
        let label = labels[row] as usize;
        if label >= cols {
            logits.fill(0.0);
            loss[0] = 0.0;
            return;
        }
        let at_label = logits[label];
        let (peak, total) = exp_shifted(logits);
        loss[0] = peak + total.ln() - at_label;
        for logit in logits.iter_mut() {
            *logit = *logit / total * weights[row];
        }
        logits[label] -= weights[row];
    });
}
