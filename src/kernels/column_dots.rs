//! out += the products of the columns of x and y: the gradient of factors of columns, a sum over tokens.
//!
//! forward: y = c ∘ z, row by row; then dc += Σ_t dy ∘ z.

use super::launch::{Checks, params};
use super::parallel::for_each_chunk_mut;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::Tensor;
use multiversion::multiversion;

params! {
    rows: u32,
    cols: u32,
    pad: [u32; 2],
}

/// The kernel of [`column_dots`].
pub static COLUMN_DOTS: KernelDef = KernelDef {
    name: "column_dots",
    wgsl: include_str!("../../shaders/column_dots.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &[],
    links: &[],
    cpu,
};

/// Columns of a workgroup, and of a CPU task.
const COLS: usize = 64;

/// out[j] += Σ_t x[t, j] y[t, j]; x and y are `[rows, d]`, out `[d]`.
pub fn column_dots(
    rec: &mut Recording,
    x: &Tensor,
    y: &Tensor,
    out: &View,
) -> Result<(), DeviceError> {
    Checks::new(&COLUMN_DOTS)
        .that(x.rows > 0, "no rows")
        .shape("y", y, x.rows, x.cols)
        .words("out", out, x.cols)
        .done()?;
    let params = Params { rows: x.rows as u32, cols: x.cols as u32, pad: [0; 2] };
    let shape = Shape {
        groups: [x.cols.div_ceil(COLS) as u32, 1, 1],
        flops: 2 * (x.rows * x.cols) as u64,
        ..Shape::default()
    };
    rec.dispatch(&COLUMN_DOTS, &params, &[x.view.clone(), y.view.clone(), out.clone()], &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rows, cols) = (p.rows as usize, p.cols as usize);
    let (x, y) = (&call.input::<f32>(0)[..rows * cols], &call.input::<f32>(1)[..rows * cols]);
    for_each_chunk_mut(&mut call.output::<f32>(2)[..cols], COLS, |i, out| {
        add_products(&x[i * COLS..], &y[i * COLS..], cols, out);
    });
}

/// Adds up the products of the first columns of rows that are `stride` elements apart.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn add_products(x: &[f32], y: &[f32], stride: usize, out: &mut [f32]) {
    let mut sums = [0f32; COLS];
    let sums = &mut sums[..out.len()];
    for (x, y) in x.chunks(stride).zip(y.chunks(stride)) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    out.iter_mut().zip(sums).for_each(|(out, sum)| *out += *sum);
}
