//! y = a + b: the residual connections.
//!
//! Invariant: `y` is another buffer than `a` and `b` (recording refuses to read and write one buffer in a dispatch).

use super::launch::{Checks, WG, groups, params};
use super::parallel::for_each_chunk_mut;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape};
use crate::tensor::Tensor;

params! {
    n: u32,
    pad: [u32; 3],
}

/// The kernel of [`add`].
pub static ADD: KernelDef = KernelDef {
    name: "add",
    wgsl: include_str!("../../shaders/add.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// y = a + b, all `[rows, cols]`.
pub fn add(rec: &mut Recording, a: &Tensor, b: &Tensor, y: &Tensor) -> Result<(), DeviceError> {
    Checks::new(&ADD).shape("b", b, a.rows, a.cols).shape("y", y, a.rows, a.cols).done()?;
    let n = a.rows * a.cols;
    let params = Params { n: n as u32, pad: [0; 3] };
    let shape = Shape {
        overrides: &[("WG", WG)],
        groups: groups(n.div_ceil(WG as usize)),
        flops: n as u64,
        ..Shape::default()
    };
    rec.dispatch(&ADD, &params, &[a.view.clone(), b.view.clone(), y.view.clone()], &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let n = call.params::<Params>().n as usize;
    let (a, b) = (&call.input::<f32>(0)[..n], &call.input::<f32>(1)[..n]);
    const CHUNK: usize = 1 << 16;
    for_each_chunk_mut(&mut call.output::<f32>(2)[..n], CHUNK, |i, y| {
        for ((y, a), b) in y.iter_mut().zip(&a[i * CHUNK..]).zip(&b[i * CHUNK..]) {
            *y = a + b;
        }
    });
}
