//! What a vector does to each row of a matrix, in place: the launch and the loop that such kernels share.
//!
//! It knows neither kernel; each has its shader and says what becomes of an element. Invariant: an element depends on
//! itself and on its column's number alone.

use super::launch::{Checks, WG, groups, params};
use super::parallel::for_each_chunk_mut;
use crate::device::{CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::Tensor;

params! {
    rows: u32,
    cols: u32,
    pad: [u32; 2],
}

/// Bytes of such a kernel's parameters.
pub const PARAMS_BYTES: usize = size_of::<Params>();

/// Records a kernel of y `[rows, d]` and c `[d]`, called `name` in errors.
pub fn dispatch(
    rec: &mut Recording,
    kernel: &'static KernelDef,
    (name, c): (&str, &View),
    y: &Tensor,
) -> Result<(), DeviceError> {
    Checks::new(kernel).that(y.rows > 0, "no rows").words(name, c, y.cols).done()?;
    let n = y.rows * y.cols;
    let params = Params { rows: y.rows as u32, cols: y.cols as u32, pad: [0; 2] };
    let shape = Shape {
        overrides: &[("WG", WG)],
        groups: groups(n.div_ceil(WG as usize)),
        flops: n as u64,
        ..Shape::default()
    };
    rec.dispatch(kernel, &params, &[c.clone(), y.view.clone()], &shape)
}

/// The CPU twin: `change` makes an element of y what it becomes.
pub fn each(call: &CpuCall<'_>, change: impl Fn(&mut f32, f32) + Sync) {
    let p: Params = call.params();
    let (rows, cols) = (p.rows as usize, p.cols as usize);
    let c = &call.input::<f32>(0)[..cols];
    let y = &mut call.output::<f32>(1)[..rows * cols];
    let step = (1usize << 16).div_ceil(cols);
    for_each_chunk_mut(y, step * cols, |_, y| {
        for y in y.chunks_mut(cols) {
            y.iter_mut().zip(c).for_each(|(y, c)| change(y, *c));
        }
    });
}
