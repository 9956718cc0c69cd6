//! y[rows[i]] = x[i]: gradients of gathered rows go back to their places.
//!
//! The inverse of gathering with the embedding kernel. Invariant: `rows` names no row twice, so that no two threads
//! write one place.

use super::launch::{Checks, WG, groups, params};
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::Tensor;

params! {
    n: u32,
    cols4: u32,
    pad0: u32,
    pad1: u32,
}

/// The kernel of [`scatter_rows`].
pub static SCATTER_ROWS: KernelDef = KernelDef {
    name: "scatter_rows",
    wgsl: include_str!("../../shaders/scatter_rows.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// y[rows[i]] = x[i] for x `[n, cols]`, rows u32 `[n]` and y `[more, cols]`; other rows of y stay. cols is a multiple
/// of 4.
pub fn scatter_rows(
    rec: &mut Recording,
    x: &Tensor,
    rows: &View,
    y: &Tensor,
) -> Result<(), DeviceError> {
    Checks::new(&SCATTER_ROWS)
        .that(x.cols.is_multiple_of(4), "columns are no multiple of 4")
        .that(x.cols == y.cols && x.rows <= y.rows, "x is larger than y")
        .words("rows", rows, x.rows)
        .done()?;
    let params = Params { n: x.rows as u32, cols4: (x.cols / 4) as u32, pad0: 0, pad1: 0 };
    let shape = Shape {
        overrides: &[("WG", WG)],
        groups: groups((x.rows * x.cols / 4).div_ceil(WG as usize)),
        ..Shape::default()
    };
    let views = [x.view.clone(), rows.clone(), y.view.clone()];
    rec.dispatch(&SCATTER_ROWS, &params, &views, &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let cols = 4 * p.cols4 as usize;
    let (x, rows) = (call.input::<f32>(0), call.input::<u32>(1));
    let y = call.output::<f32>(2);
    for (x, row) in x.chunks_exact(cols).zip(&rows[..p.n as usize]) {
        y[*row as usize * cols..][..cols].copy_from_slice(x);
    }
}
