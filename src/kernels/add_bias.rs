//! y += b, row by row and in place: the bias of a frozen linear.
//!
//! A kernel of its own, since only q, k and v of one architecture have biases: every other product would carry a binding
//! for nothing. Its gradient with respect to y is the identity, and b is frozen, so there is no backward kernel.

use super::launch::{Checks, WG, groups, params};
use super::parallel::for_each_chunk_mut;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::Tensor;

params! {
    rows: u32,
    cols: u32,
    pad: [u32; 2],
}

/// The kernel of [`add_bias`].
pub static ADD_BIAS: KernelDef = KernelDef {
    name: "add_bias",
    wgsl: include_str!("../../shaders/add_bias.wgsl"),
    bindings: &[Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// y[t, j] += b[j] for y `[rows, d]`, b `[d]`.
pub fn add_bias(rec: &mut Recording, b: &View, y: &Tensor) -> Result<(), DeviceError> {
    Checks::new(&ADD_BIAS).that(y.rows > 0, "no rows").words("b", b, y.cols).done()?;
    let n = y.rows * y.cols;
    let params = Params { rows: y.rows as u32, cols: y.cols as u32, pad: [0; 2] };
    let shape = Shape {
        overrides: &[("WG", WG)],
        groups: groups(n.div_ceil(WG as usize)),
        flops: n as u64,
        ..Shape::default()
    };
    rec.dispatch(&ADD_BIAS, &params, &[b.clone(), y.view.clone()], &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rows, cols) = (p.rows as usize, p.cols as usize);
    let b = &call.input::<f32>(0)[..cols];
    let y = &mut call.output::<f32>(1)[..rows * cols];
    let step = (1usize << 16).div_ceil(cols);
    for_each_chunk_mut(y, step * cols, |_, y| {
        for y in y.chunks_mut(cols) {
            y.iter_mut().zip(b).for_each(|(y, b)| *y += b);
        }
    });
}
