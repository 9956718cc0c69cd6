//! The keys' and values' gradients of attention: each key gathers from the rows that see it, over its group's heads.
//!
//! forward: S = q kᵀ c, P = exp(S - LSE), o = P v, c = 1 / sqrt(hd)
//! dv = Pᵀ do, dS = P (do vᵀ - D), dk = c dSᵀ q (Dao et al. 2022). Runs after `attention_dq`, which writes D.

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

/// The kernel of [`attention_dkv`].
pub static ATTENTION_DKV: KernelDef = KernelDef {
    name: "attention_dkv",
    wgsl: include_str!("../../shaders/attention_dkv.wgsl"),
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

/// dk and dv `[keys, KV hd]` from d_o `[rows, H hd]` and stats with D in it; key s is seen by the rows `t0..t1` in
/// key_spans `[keys, 2]`, without a gap. A key that no row sees gets zeros.
#[expect(clippy::too_many_arguments, reason = "the kernel's bindings in order")]
pub fn attention_dkv(
    rec: &mut Recording,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    d_o: &Tensor,
    stats: &Tensor,
    key_spans: &View,
    dk: &Tensor,
    dv: &Tensor,
    shape: AttentionShape,
) -> Result<(), DeviceError> {
    shape
        .check(Checks::new(&ATTENTION_DKV), q, k, v)
        .shape("d_o", d_o, q.rows, q.cols)
        .shape("dk", dk, k.rows, k.cols)
        .shape("dv", dv, k.rows, k.cols)
        .shape("stats", stats, q.rows, 2 * shape.heads)
        .words("key_spans", key_spans, 2 * k.rows)
        .done()?;
    let params = Params {
        rows: k.rows as u32,
        heads: shape.heads as u32,
        kv_heads: shape.kv_heads as u32,
        scale: shape.scale(),
    };
    let views = [&q.view, &k.view, &v.view, &d_o.view, &stats.view, key_spans, &dk.view, &dv.view];
    let dispatch = Shape {
        overrides: &[("WG", AttentionShape::WG), ("HEAD_DIM", shape.head_dim as u32)],
        groups: groups(k.rows * shape.kv_heads),
        flops: 4 * (q.rows * k.rows * q.cols) as u64,
        ..Shape::default()
    };
    rec.dispatch(&ATTENTION_DKV, &params, &views.map(View::clone), &dispatch)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (heads, kv_heads) = (p.heads as usize, p.kv_heads as usize);
    let hd = AttentionShape::head_dim_of(p.scale);
    let n = p.rows as usize * kv_heads * hd;
    let (q, k, v) = (call.input::<f32>(0), call.input::<f32>(1), call.input::<f32>(2));
    let (d_o, stats) = (call.input::<f32>(3), call.input::<[f32; 2]>(4));
    let key_spans = call.input::<[u32; 2]>(5);
    let (dk, dv) = (&mut call.output::<f32>(6)[..n], &mut call.output::<f32>(7)[..n]);
    for_each_chunk_pair_mut((dk, hd), (dv, hd), |i, dk, dv| {
        let at = i * hd..(i + 1) * hd;
        let (k, v, span) = (&k[at.clone()], &v[at], key_spans[i / kv_heads]);
        dk.fill(0.0);
        dv.fill(0.0);
        let share = heads / kv_heads;
        for head in i % kv_heads * share..(i % kv_heads + 1) * share {
            let rows = Rows { q, d_o, stats, heads, head, span };
            gather(&rows, k, v, p.scale, dk, dv);
        }
    });
}

/// The rows of one head that see a key.
struct Rows<'a> {
    q: &'a [f32],
    d_o: &'a [f32],
    stats: &'a [[f32; 2]],
    heads: usize,
    head: usize,
    span: [u32; 2],
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn gather(rows: &Rows, k: &[f32], v: &[f32], scale: f32, dk: &mut [f32], dv: &mut [f32]) {
    let hd = k.len();
    for row in rows.span[0] as usize..rows.span[1] as usize {
        let index = row * rows.heads + rows.head;
        let at = index * hd..(index + 1) * hd;
        let (q, d_o) = (&rows.q[at.clone()], &rows.d_o[at]);
        let [lse, d] = rows.stats[index];
        let probability = lanes::exp(lanes::dot(q, k) * scale - lse);
        let ds = probability * (lanes::dot(d_o, v) - d);
        lanes::add_scaled(probability, d_o, dv);
        lanes::add_scaled(ds * scale, q, dk);
    }
}
