//! y = c ∘ y, row by row and in place: what DoRA and (IA)³ do to a linear's outputs or inputs, forward and backward.
//!
//! It knows neither method: c is m / ‖W + s B A‖ for the one and l for the other.

use super::launch::{Checks, WG, groups, params};
use super::parallel::for_each_chunk_mut;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::Tensor;

params! {
    rows: u32,
    cols: u32,
    pad: [u32; 2],
}

/// The kernel of [`scale_columns`].
pub static SCALE_COLUMNS: KernelDef = KernelDef {
    name: "scale_columns",
    wgsl: include_str!("../../shaders/scale_columns.wgsl"),
    bindings: &[Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// y[t, j] *= c[j] for y `[rows, d]`, c `[d]`.
pub fn scale_columns(rec: &mut Recording, c: &View, y: &Tensor) -> Result<(), DeviceError> {
    Checks::new(&SCALE_COLUMNS).that(y.rows > 0, "no rows").words("c", c, y.cols).done()?;
    let n = y.rows * y.cols;
    let params = Params { rows: y.rows as u32, cols: y.cols as u32, pad: [0; 2] };
    let shape = Shape {
        overrides: &[("WG", WG)],
        groups: groups(n.div_ceil(WG as usize)),
        flops: n as u64,
        ..Shape::default()
    };
    rec.dispatch(&SCALE_COLUMNS, &params, &[c.clone(), y.view.clone()], &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rows, cols) = (p.rows as usize, p.cols as usize);
    let c = &call.input::<f32>(0)[..cols];
    let y = &mut call.output::<f32>(1)[..rows * cols];
    let step = (1usize << 16).div_ceil(cols);
    for_each_chunk_mut(y, step * cols, |_, y| {
        for y in y.chunks_mut(cols) {
            y.iter_mut().zip(c).for_each(|(y, c)| *y *= c);
        }
    });
}
