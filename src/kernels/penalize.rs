//! The repetition penalty of CTRL (Keskar et al. 2019): logits of ids that were said before shrink towards silence.
//!
//! l becomes l / penalty where l > 0, else l * penalty. Invariant: the ids are distinct, so no logit is touched twice.

use super::launch::{Checks, WG, groups, params};
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::Tensor;

params! {
    n: u32,
    cols: u32,
    penalty: f32,
    pad: u32,
}

/// The kernel of [`penalize`].
pub static PENALIZE: KernelDef = KernelDef {
    name: "penalize",
    wgsl: include_str!("../../shaders/penalize.wgsl"),
    bindings: &[Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// Penalizes the first n of ids (u32, distinct) in logits `[1, vocabulary]`; an id past the vocabulary is ignored.
pub fn penalize(
    rec: &mut Recording,
    ids: &View,
    n: usize,
    penalty: f32,
    logits: &Tensor,
) -> Result<(), DeviceError> {
    Checks::new(&PENALIZE)
        .that(n > 0 && penalty > 0.0, "no ids, or a penalty that is not positive")
        .shape("logits", logits, 1, logits.cols)
        .words("ids", ids, n)
        .done()?;
    let params = Params { n: n as u32, cols: logits.cols as u32, penalty, pad: 0 };
    let shape = Shape {
        overrides: &[("WG", WG)],
        groups: groups(n.div_ceil(WG as usize)),
        flops: n as u64,
        ..Shape::default()
    };
    rec.dispatch(&PENALIZE, &params, &[ids.clone(), logits.view.clone()], &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let logits = &mut call.output::<f32>(1)[..p.cols as usize];
    for &id in &call.input::<u32>(0)[..p.n as usize] {
        if let Some(logit) = logits.get_mut(id as usize) {
            *logit = if *logit > 0.0 { *logit / p.penalty } else { *logit * p.penalty };
        }
    }
}
