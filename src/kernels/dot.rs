//! Partial sums of a · b, to be added up by `sum`: norms, and the products of gradient surgery.
//!
//! Invariant: how the vectors are shared out depends on n alone, so the result is the same bits each time.

use super::lanes;
use super::launch::{Checks, WG, params};
use super::parallel::for_each_chunk_mut;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use multiversion::multiversion;

params! {
    n: u32,
    pad: [u32; 3],
}

/// The kernel of [`dot`].
pub static DOT: KernelDef = KernelDef {
    name: "dot",
    wgsl: include_str!("../../shaders/dot.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// Partial sums of one [`dot`].
pub const DOT_PARTIALS: usize = 256;

/// partials `[DOT_PARTIALS]`, whose sum is a · b over the first n numbers; a and b may be the same.
pub fn dot(
    rec: &mut Recording,
    a: &View,
    b: &View,
    n: usize,
    partials: &View,
) -> Result<(), DeviceError> {
    Checks::new(&DOT)
        .words("a", a, n)
        .words("b", b, n)
        .words("partials", partials, DOT_PARTIALS)
        .done()?;
    let shape = Shape {
        overrides: &[("WG", WG)],
        groups: [DOT_PARTIALS as u32, 1, 1],
        flops: 2 * n as u64,
        ..Shape::default()
    };
    let params = Params { n: n as u32, pad: [0; 3] };
    rec.dispatch(&DOT, &params, &[a, b, partials].map(View::clone), &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let n = call.params::<Params>().n as usize;
    let (a, b) = (&call.input::<f32>(0)[..n], &call.input::<f32>(1)[..n]);
    let share = n.div_ceil(DOT_PARTIALS);
    for_each_chunk_mut(&mut call.output::<f32>(2)[..DOT_PARTIALS], 16, |i, partials| {
        for (j, partial) in (16 * i..).zip(partials) {
            let range = (j * share).min(n)..((j + 1) * share).min(n);
            *partial = product(&a[range.clone()], &b[range]);
        }
    });
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn product(a: &[f32], b: &[f32]) -> f32 {
    lanes::dot(a, b)
}
