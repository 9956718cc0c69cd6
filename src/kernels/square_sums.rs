//! sums += scale * the sums of the squares of x's columns: second moments of activations and of gradients.
//!
//! With one row it adds the squares of a flat vector element by element: the diagonal of a Fisher matrix, an example's
//! gradient at a time. It knows neither use. Invariant: a column's rows are added in their order.

use super::launch::{Checks, WG, groups, params};
use super::parallel::for_each_chunk_mut;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};

params! {
    rows: u32,
    cols: u32,
    scale: f32,
    pad: u32,
}

/// The kernel of [`square_sums`].
pub static SQUARE_SUMS: KernelDef = KernelDef {
    name: "square_sums",
    wgsl: include_str!("../../shaders/square_sums.wgsl"),
    bindings: &[Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// sums[j] += scale Σ_t x[t, j]²; x is `[rows, cols]`, sums `[cols]`.
pub fn square_sums(
    rec: &mut Recording,
    x: &View,
    [rows, cols]: [usize; 2],
    scale: f32,
    sums: &View,
) -> Result<(), DeviceError> {
    Checks::new(&SQUARE_SUMS)
        .that(rows * cols > 0, "an empty matrix")
        .words("x", x, rows * cols)
        .words("sums", sums, cols)
        .done()?;
    let params = Params { rows: rows as u32, cols: cols as u32, scale, pad: 0 };
    let shape = Shape {
        overrides: &[("WG", WG)],
        groups: groups(cols.div_ceil(WG as usize)),
        flops: 2 * (rows * cols) as u64,
        ..Shape::default()
    };
    rec.dispatch(&SQUARE_SUMS, &params, &[x.clone(), sums.clone()], &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rows, cols) = (p.rows as usize, p.cols as usize);
    let x = &call.input::<f32>(0)[..rows * cols];
    const CHUNK: usize = 1 << 14;
    for_each_chunk_mut(&mut call.output::<f32>(1)[..cols], CHUNK, |i, sums| {
        let mut squares = vec![0.0f32; sums.len()];
        for row in x.chunks(cols) {
            for (square, value) in squares.iter_mut().zip(&row[i * CHUNK..]) {
                *square += value * value;
            }
        }
        for (sum, square) in sums.iter_mut().zip(squares) {
            *sum += p.scale * square;
        }
    });
}
