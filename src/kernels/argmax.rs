//! The index of each row's largest logit, the lowest where several are: greedy sampling without reading logits back.
//!
//! A NaN is larger than nothing, so it is chosen only where it stands first in its lane.

use super::launch::{Checks, WG, groups, params};
use super::parallel::for_each_chunk_mut;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::Tensor;

params! {
    rows: u32,
    cols: u32,
    pad: [u32; 2],
}

/// The kernel of [`argmax`].
pub static ARGMAX: KernelDef = KernelDef {
    name: "argmax",
    wgsl: include_str!("../../shaders/argmax.wgsl"),
    bindings: &[Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// ids `[rows]` (u32) = argmax of logits `[rows, vocabulary]`.
pub fn argmax(rec: &mut Recording, logits: &Tensor, ids: &View) -> Result<(), DeviceError> {
    Checks::new(&ARGMAX)
        .that(logits.rows * logits.cols > 0, "no logits")
        .words("ids", ids, logits.rows)
        .done()?;
    let params = Params { rows: logits.rows as u32, cols: logits.cols as u32, pad: [0; 2] };
    let shape = Shape {
        overrides: &[("WG", WG)],
        groups: groups(logits.rows),
        flops: (logits.rows * logits.cols) as u64,
        ..Shape::default()
    };
    rec.dispatch(&ARGMAX, &params, &[logits.view.clone(), ids.clone()], &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let cols = p.cols as usize;
    let logits = call.input::<f32>(0);
    for_each_chunk_mut(&mut call.output::<u32>(1)[..p.rows as usize], 1, |row, id| {
        let logits = &logits[row * cols..][..cols];
        let mut best = 0;
        for (i, logit) in logits.iter().enumerate() {
            if *logit > logits[best] {
                best = i;
            }
        }
        id[0] = best as u32;
    });
}
