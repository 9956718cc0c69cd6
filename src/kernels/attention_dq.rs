//! The queries' gradient of attention, and D = Σ do o of each row and head, which the keys' gradients need too.
//!
//! forward: S = q kᵀ c, P = exp(S - LSE), o = P v, c = 1 / sqrt(hd)
//! dP = do vᵀ, dS = P (dP - D), dq = c dS k (Dao et al. 2022)

use super::AttentionShape;
use super::lanes;
use super::launch::{Checks, groups, params};
use super::parallel::for_each_chunk_pair_mut;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::Tensor;
use multiversion::multiversion;

params! {
    rows: u32,
    heads: u32,
    kv_heads: u32,
    scale: f32,
}

/// The kernel of [`attention_dq`].
pub static ATTENTION_DQ: KernelDef = KernelDef {
    name: "attention_dq",
    wgsl: include_str!("../../shaders/attention_dq.wgsl"),
    bindings: &[
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Write,
        Access::Write,
    ],
    params_bytes: size_of::<Params>(),
    overrides: &["WG", "HEAD_DIM"],
    links: &[],
    cpu,
};

/// dq `[rows, H hd]` from d_o `[rows, H hd]` and what `attention` was given and wrote; D goes into stats.
#[expect(clippy::too_many_arguments, reason = "the kernel's bindings in order")]
pub fn attention_dq(
    rec: &mut Recording,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    o: &Tensor,
    d_o: &Tensor,
    spans: &View,
    stats: &Tensor,
    dq: &Tensor,
    shape: AttentionShape,
) -> Result<(), DeviceError> {
    shape
        .check(Checks::new(&ATTENTION_DQ), q, k, v)
        .shape("o", o, q.rows, q.cols)
        .shape("d_o", d_o, q.rows, q.cols)
        .shape("dq", dq, q.rows, q.cols)
        .shape("stats", stats, q.rows, 2 * shape.heads)
        .words("spans", spans, 4 * q.rows)
        .done()?;
    let params = Params {
        rows: q.rows as u32,
        heads: shape.heads as u32,
        kv_heads: shape.kv_heads as u32,
        scale: shape.scale(),
    };
    let views = [&q.view, &k.view, &v.view, &o.view, &d_o.view, spans, &stats.view, &dq.view];
    let dispatch = Shape {
        overrides: &[("WG", AttentionShape::WG), ("HEAD_DIM", shape.head_dim as u32)],
        groups: groups(q.rows * shape.heads),
        flops: 3 * (q.rows * k.rows * q.cols) as u64,
        ..Shape::default()
    };
    rec.dispatch(&ATTENTION_DQ, &params, &views.map(View::clone), &dispatch)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (heads, kv_heads) = (p.heads as usize, p.kv_heads as usize);
    let n = p.rows as usize * heads;
    let hd = AttentionShape::head_dim_of(p.scale);
    let (q, k, v) = (call.input::<f32>(0), call.input::<f32>(1), call.input::<f32>(2));
    let (o, d_o) = (call.input::<f32>(3), call.input::<f32>(4));
    let spans = call.input::<[u32; 4]>(5);
    let stats = &mut call.output::<f32>(6)[..n * 2];
    let dq = &mut call.output::<f32>(7)[..n * hd];
    for_each_chunk_pair_mut((dq, hd), (stats, 2), |i, dq, stats| {
        let row = i * hd..(i + 1) * hd;
        let at = (i % heads) / (heads / kv_heads) * hd;
        let grad = RowGrad {
            q: &q[row.clone()],
            o: &o[row.clone()],
            d_o: &d_o[row],
            k: &k[at..],
            v: &v[at..],
            stride: kv_heads * hd,
            // A row's span without its hole: training has no branches.
            span: [spans[i / heads][0], spans[i / heads][1]],
            scale: p.scale,
        };
        stats[1] = grad_row(&grad, stats[0], dq);
    });
}

/// What the gradient of one row and head is made of.
struct RowGrad<'a> {
    q: &'a [f32],
    o: &'a [f32],
    d_o: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    stride: usize,
    span: [u32; 2],
    scale: f32,
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn grad_row(row: &RowGrad, lse: f32, dq: &mut [f32]) -> f32 {
    dq.fill(0.0);
    let d = lanes::dot(row.d_o, row.o);
    for key in row.span[0] as usize..row.span[1] as usize {
        let at = key * row.stride..key * row.stride + row.q.len();
        let k = &row.k[at.clone()];
        let probability = lanes::exp(lanes::dot(row.q, k) * row.scale - lse);
        let ds = probability * (lanes::dot(row.d_o, &row.v[at]) - d);
        lanes::add_scaled(ds * row.scale, k, dq);
    }
    d
}
