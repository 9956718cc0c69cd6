//! The gradients of `swiglu` with respect to both inputs.
//!
//! forward: h = silu(a) b with silu(a) = a sig, sig = 1 / (1 + e^-a)
//! da = dh b sig (1 + a (1 - sig)); db = dh a sig

use super::lanes;
use super::launch::{Checks, WG, groups, params};
use super::parallel::for_each_chunk_pair_mut;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape};
use crate::tensor::Tensor;
use multiversion::multiversion;

params! {
    n: u32,
    pad: [u32; 3],
}

/// The kernel of [`swiglu_grad`].
pub static SWIGLU_GRAD: KernelDef = KernelDef {
    name: "swiglu_grad",
    wgsl: include_str!("../../shaders/swiglu_grad.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// da and db from dh, for h = silu(a) b; all are `[rows, cols]`.
pub fn swiglu_grad(
    rec: &mut Recording,
    a: &Tensor,
    b: &Tensor,
    dh: &Tensor,
    da: &Tensor,
    db: &Tensor,
) -> Result<(), DeviceError> {
    Checks::new(&SWIGLU_GRAD)
        .shape("b", b, a.rows, a.cols)
        .shape("dh", dh, a.rows, a.cols)
        .shape("da", da, a.rows, a.cols)
        .shape("db", db, a.rows, a.cols)
        .done()?;
    let n = a.rows * a.cols;
    let params = Params { n: n as u32, pad: [0; 3] };
    let shape = Shape {
        overrides: &[("WG", WG)],
        groups: groups(n.div_ceil(WG as usize)),
        flops: 15 * n as u64,
        ..Shape::default()
    };
    let views = [&a.view, &b.view, &dh.view, &da.view, &db.view].map(Clone::clone);
    rec.dispatch(&SWIGLU_GRAD, &params, &views, &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let n = call.params::<Params>().n as usize;
    let (a, b) = (&call.input::<f32>(0)[..n], &call.input::<f32>(1)[..n]);
    let dh = &call.input::<f32>(2)[..n];
    let (da, db) = (&mut call.output::<f32>(3)[..n], &mut call.output::<f32>(4)[..n]);
    const CHUNK: usize = 1 << 13;
    for_each_chunk_pair_mut((da, CHUNK), (db, CHUNK), |i, da, db| {
        let start = i * CHUNK;
        grads(&a[start..], &b[start..], &dh[start..], da, db);
    });
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn grads(a: &[f32], b: &[f32], dh: &[f32], da: &mut [f32], db: &mut [f32]) {
    for ((((da, db), a), b), dh) in da.iter_mut().zip(db).zip(a).zip(b).zip(dh) {
        let sig = 1.0 / (1.0 + lanes::exp(-a));
        *da = dh * b * sig * (1.0 + a * (1.0 - sig));
        *db = dh * a * sig;
    }
}
