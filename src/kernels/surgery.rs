//! Gradient surgery on flat buffers: g projected off h where the two conflict, plus h.
//!
//! Asymmetric PCGrad (Yu et al. 2020, algorithm 1): g ← g - min(0, g·h) / h·h · h + h; h itself is never altered. Both
//! products are read on the device. Invariant: without a conflict the result is the plain sum.

use super::launch::{Checks, WG, groups, params};
use super::parallel::for_each_chunk_mut;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};

params! {
    n: u32,
    pad: [u32; 3],
}

/// The kernel of [`surgery`].
pub static SURGERY: KernelDef = KernelDef {
    name: "surgery",
    wgsl: include_str!("../../shaders/surgery.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// g `[n]` plus h `[n]`, without the part of g that works against h; product `[1]` is g · h and square `[1]` h · h, of these
/// vectors or of longer ones that they are parts of.
pub fn surgery(
    rec: &mut Recording,
    h: &View,
    product: &View,
    square: &View,
    g: &View,
    n: usize,
) -> Result<(), DeviceError> {
    Checks::new(&SURGERY)
        .that(n > 0, "an empty vector")
        .words("h", h, n)
        .words("product", product, 1)
        .words("square", square, 1)
        .words("g", g, n)
        .done()?;
    let params = Params { n: n as u32, pad: [0; 3] };
    let shape = Shape {
        overrides: &[("WG", WG)],
        groups: groups(n.div_ceil(WG as usize)),
        flops: 2 * n as u64,
        ..Shape::default()
    };
    rec.dispatch(&SURGERY, &params, &[h, product, square, g].map(View::clone), &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let n = call.params::<Params>().n as usize;
    let h = &call.input::<f32>(0)[..n];
    let (product, square) = (call.input::<f32>(1)[0], call.input::<f32>(2)[0]);
    let share = if product < 0.0 && square > 0.0 { 1.0 - product / square } else { 1.0 };
    const CHUNK: usize = 1 << 16;
    for_each_chunk_mut(&mut call.output::<f32>(3)[..n], CHUNK, |i, g| {
        for (g, h) in g.iter_mut().zip(&h[i * CHUNK..]) {
            *g += share * h;
        }
    });
}
