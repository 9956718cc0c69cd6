//! The sum of a vector: the second stage of `dot`, and the total of losses.
//!
//! One workgroup, so meant for some thousands of numbers; larger sums go through `dot`.

use super::lanes;
use super::launch::{Checks, WG, params};
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};

params! {
    n: u32,
    pad: [u32; 3],
}

/// The kernel of [`sum`].
pub static SUM: KernelDef = KernelDef {
    name: "sum",
    wgsl: include_str!("../../shaders/sum.wgsl"),
    bindings: &[Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// out `[1]` = the sum of the first n numbers of x.
pub fn sum(rec: &mut Recording, x: &View, n: usize, out: &View) -> Result<(), DeviceError> {
    Checks::new(&SUM).words("x", x, n).words("out", out, 1).done()?;
    let params = Params { n: n as u32, pad: [0; 3] };
    let shape =
        Shape { overrides: &[("WG", WG)], groups: [1, 1, 1], flops: n as u64, ..Shape::default() };
    rec.dispatch(&SUM, &params, &[x.clone(), out.clone()], &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let n = call.params::<Params>().n as usize;
    call.output::<f32>(1)[0] = lanes::sum(&call.input::<f32>(0)[..n]);
}
