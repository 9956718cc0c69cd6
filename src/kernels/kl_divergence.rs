//! KL(q || p) of each row, q the teacher's distribution and p the student's, and the gradient in place of the logits.
//!
//! loss = Σ q (log q - log p) in nats, unweighted; logits become (p - q) weight, the gradient with respect to them.

use super::lanes::{self, LANES};
use super::launch::{Checks, WG, groups, params};
use super::parallel::for_each_chunk_pair_mut;
use super::softmax::peak_and_total;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::Tensor;
use multiversion::multiversion;

params! {
    rows: u32,
    cols: u32,
    pad: [u32; 2],
}

/// The kernel of [`kl_divergence`].
pub static KL_DIVERGENCE: KernelDef = KernelDef {
    name: "kl_divergence",
    wgsl: include_str!("../../shaders/kl_divergence.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// logits `[rows, vocabulary]` become (p - q) weight, loss `[rows]` gets KL(q || p); teacher `[rows, vocabulary]` are
/// logits too, weights `[rows]`.
pub fn kl_divergence(
    rec: &mut Recording,
    teacher: &Tensor,
    weights: &View,
    logits: &Tensor,
    loss: &View,
) -> Result<(), DeviceError> {
    Checks::new(&KL_DIVERGENCE)
        .that(logits.rows * logits.cols > 0, "no logits")
        .shape("teacher", teacher, logits.rows, logits.cols)
        .words("weights", weights, logits.rows)
        .words("loss", loss, logits.rows)
        .done()?;
    let params = Params { rows: logits.rows as u32, cols: logits.cols as u32, pad: [0; 2] };
    let shape = Shape {
        overrides: &[("WG", WG)],
        groups: groups(logits.rows),
        flops: 40 * (logits.rows * logits.cols) as u64,
        ..Shape::default()
    };
    let views = [&teacher.view, weights, &logits.view, loss].map(View::clone);
    rec.dispatch(&KL_DIVERGENCE, &params, &views, &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rows, cols) = (p.rows as usize, p.cols as usize);
    let (teacher, weights) = (call.input::<f32>(0), call.input::<f32>(1));
    let logits = &mut call.output::<f32>(2)[..rows * cols];
    let losses = &mut call.output::<f32>(3)[..rows];
    for_each_chunk_pair_mut((logits, cols), (losses, 1), |row, logits, loss| {
        loss[0] = diverge(&teacher[row * cols..][..cols], weights[row], logits);
    });
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn diverge(teacher: &[f32], weight: f32, logits: &mut [f32]) -> f32 {
    let (q_peak, q_total) = peak_and_total(teacher);
    let (p_peak, p_total) = peak_and_total(logits);
    let (q_lse, p_lse) = (q_peak + q_total.ln(), p_peak + p_total.ln());
    // Summed in lanes: one f32 sum over a whole vocabulary loses the fifth digit.
    let mut sums = [0f32; LANES];
    for (logits, teacher) in logits.chunks_mut(LANES).zip(teacher.chunks(LANES)) {
        for ((logit, teacher), sum) in logits.iter_mut().zip(teacher).zip(&mut sums) {
            let (q_score, p_score) = (teacher - q_lse, *logit - p_lse);
            let q = lanes::exp(q_score);
            *sum += q * (q_score - p_score);
            *logit = (lanes::exp(p_score) - q) * weight;
        }
    }
    lanes::sum_lanes(sums)
}
