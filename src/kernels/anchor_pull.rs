//! g += scale * f * (w - anchor): the gradient of EWC's penalty on flat buffers (Kirkpatrick et al. 2017, eq. 3).
//!
//! The penalty is scale / 2 Σ f (w - anchor)². It knows no model. Invariant: at the anchor nothing is pulled.

use super::launch::{Checks, WG, groups, params};
use super::parallel::for_each_chunk_mut;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};

params! {
    n: u32,
    scale: f32,
    pad: [u32; 2],
}

/// The kernel of [`anchor_pull`].
pub static ANCHOR_PULL: KernelDef = KernelDef {
    name: "anchor_pull",
    wgsl: include_str!("../../shaders/anchor_pull.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// g `[n]` += scale · f (w - anchor), all `[n]`.
pub fn anchor_pull(
    rec: &mut Recording,
    [f, w, anchor]: [&View; 3],
    g: &View,
    n: usize,
    scale: f32,
) -> Result<(), DeviceError> {
    Checks::new(&ANCHOR_PULL)
        .that(n > 0, "an empty vector")
        .words("f", f, n)
        .words("w", w, n)
        .words("anchor", anchor, n)
        .words("g", g, n)
        .done()?;
    let params = Params { n: n as u32, scale, pad: [0; 2] };
    let shape = Shape {
        overrides: &[("WG", WG)],
        groups: groups(n.div_ceil(WG as usize)),
        flops: 4 * n as u64,
        ..Shape::default()
    };
    rec.dispatch(&ANCHOR_PULL, &params, &[f, w, anchor, g].map(View::clone), &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let n = p.n as usize;
    let [f, w, anchor] = [0, 1, 2].map(|i| &call.input::<f32>(i)[..n]);
    const CHUNK: usize = 1 << 14;
    for_each_chunk_mut(&mut call.output::<f32>(3)[..n], CHUNK, |i, g| {
        let at = i * CHUNK;
        for (((g, f), w), anchor) in g.iter_mut().zip(&f[at..]).zip(&w[at..]).zip(&anchor[at..]) {
            *g += p.scale * f * (w - anchor);
        }
    });
}
