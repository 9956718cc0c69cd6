//! h = silu(a) * b with silu(a) = a / (1 + e^-a): the feed-forward layer's gate (Shazeer 2020).
//!
//! Element by element; it knows nothing of the projections around it.

use super::lanes;
use super::launch::{Checks, WG, groups, params};
use super::parallel::for_each_chunk_mut;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape};
use crate::tensor::Tensor;
use multiversion::multiversion;

params! {
    n: u32,
    pad: [u32; 3],
}

/// The kernel of [`swiglu`].
pub static SWIGLU: KernelDef = KernelDef {
    name: "swiglu",
    wgsl: include_str!("../../shaders/swiglu.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// h = silu(a) * b, all `[rows, cols]`.
pub fn swiglu(rec: &mut Recording, a: &Tensor, b: &Tensor, h: &Tensor) -> Result<(), DeviceError> {
    Checks::new(&SWIGLU).shape("b", b, a.rows, a.cols).shape("h", h, a.rows, a.cols).done()?;
    let n = a.rows * a.cols;
    let params = Params { n: n as u32, pad: [0; 3] };
    let shape = Shape {
        overrides: &[("WG", WG)],
        groups: groups(n.div_ceil(WG as usize)),
        flops: 8 * n as u64,
        ..Shape::default()
    };
    rec.dispatch(&SWIGLU, &params, &[a.view.clone(), b.view.clone(), h.view.clone()], &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let n = call.params::<Params>().n as usize;
    let (a, b) = (&call.input::<f32>(0)[..n], &call.input::<f32>(1)[..n]);
    const CHUNK: usize = 1 << 13;
    for_each_chunk_mut(&mut call.output::<f32>(2)[..n], CHUNK, |i, h| {
        gate(&a[i * CHUNK..], &b[i * CHUNK..], h);
    });
}

/// The formula on slices of one length.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
pub(super) fn gate(a: &[f32], b: &[f32], h: &mut [f32]) {
    for ((h, a), b) in h.iter_mut().zip(a).zip(b) {
        *h = lanes::silu(*a) * b;
    }
}
