//! h = silu(g + B u) · (up + B u), each sum times its factor where the method has one, for one row whose products [`super::norm_linears`] made beside an adapter: the second
//! half of what [`super::norm_swiglu`] does at once where there is none.
//!
//! Behind h come the shares of u = A h for the product that reads h: each workgroup has some of h's columns at hand.

use super::factors::{Factors, add_b, multiply, output_params, outputs_of, spread, times_a};
use super::launch::{Checks, params};
use super::parallel::for_each_chunk_pair_mut;
use super::swiglu::gate;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};

params! {
    n: u32,
    rank: u32,
    gate_at: u32,
    up_at: u32,
    a_at: u32,
    chunk: u32,
    pad: [u32; 2],
    outputs: [u32; 4],
}

/// The kernel of [`lora_swiglu`].
pub static LORA_SWIGLU: KernelDef = KernelDef {
    name: "lora_swiglu",
    wgsl: include_str!("../../shaders/lora_swiglu.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// Columns of a workgroup: every reader of h adds up all shares, so a long row has longer ones.
fn chunk(n: usize) -> usize {
    if n < 4096 { 64 } else { 256 }
}

/// How many shares of u come behind h `[n]`.
pub fn swiglu_shares(n: usize) -> usize {
    n.div_ceil(chunk(n))
}

/// h `[n]`, then the shares of u, from y: gate and up `[n]` each, then u `[rank]` of each. `b` has their factors B and then
/// the next matrix's A.
pub fn lora_swiglu(
    rec: &mut Recording,
    y: &View,
    n: usize,
    b: Factors<'_>,
    h: &View,
) -> Result<(), DeviceError> {
    let (rank, chunk) = (b.rank, chunk(n));
    Checks::new(&LORA_SWIGLU)
        .that(n > 0 && n.is_multiple_of(4), "columns are no multiple of 4")
        .that(rank > 0 && rank.is_multiple_of(4), "a rank that is no multiple of 4")
        .words("y", y, 2 * (n + rank))
        .words("h", h, n + swiglu_shares(n) * rank)
        .done()?;
    let [gate_at, up_at, a_at] = b.at.map(|at| at as u32);
    let params = Params {
        n: n as u32,
        rank: rank as u32,
        gate_at,
        up_at,
        a_at,
        chunk: chunk as u32,
        pad: [0; 2],
        outputs: output_params(Some(b)),
    };
    let shape = Shape {
        overrides: &[("WG", chunk as u32)],
        groups: [swiglu_shares(n) as u32, 1, 1],
        flops: (6 * n * rank) as u64,
        ..Shape::default()
    };
    rec.dispatch(&LORA_SWIGLU, &params, &[y.clone(), b.halves.clone(), h.clone()], &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (n, rank, chunk) = (p.n as usize, p.rank as usize, p.chunk as usize);
    let (gates, rest) = call.input::<f32>(0).split_at(n);
    let (ups, u) = rest.split_at(n);
    let (lora, factors) = (call.input::<u16>(1), call.input::<f32>(1));
    let [gate_u, up_u] = [0, rank].map(|at| spread(&u[at..][..rank]));
    let (h, shares) = call.output::<f32>(2)[..n + n.div_ceil(chunk) * rank].split_at_mut(n);
    for_each_chunk_pair_mut((h, chunk), (shares, rank), |i, h, share| {
        let added = |m: usize, y: &[f32], at: u32, u: &[f32]| {
            let mut y = y[i * chunk..][..h.len()].to_vec();
            add_b(&lora[4 * at as usize + i * chunk * rank..], u, &mut y);
            let outputs = outputs_of(factors, p.outputs, m);
            multiply(outputs.map(|outputs| &outputs[i * chunk..]), &mut y);
            y
        };
        gate(&added(0, gates, p.gate_at, &gate_u), &added(1, ups, p.up_at, &up_u), h);
        times_a(&lora[4 * p.a_at as usize + i * chunk..], n, h, share);
    });
}
