//! The keys' and values' gradients of attention: each key gathers from the rows that see it, over its group's heads.
//!
//! forward: S = q kᵀ c, P = exp(S - LSE), o = P v, c = 1 / sqrt(hd)
//! dv = Pᵀ do, dS = P (do vᵀ - D), dk = c dSᵀ q (Dao et al. 2022). Runs after `attention_dq`, which writes D.

use super::attention::{AttentionShape, BLOCK, Block};
use super::lanes;
use super::launch::{Checks, groups, params};
use super::parallel::{Operand, for_each_chunk_pair_mut, matrix_product_here};
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
    let key_spans = &call.input::<[u32; 2]>(5)[..p.rows as usize];
    let (dk, dv) = (&mut call.output::<f32>(6)[..n], &mut call.output::<f32>(7)[..n]);
    let chunk = BLOCK * kv_heads * hd;
    for_each_chunk_pair_mut((dk, chunk), (dv, chunk), |i, dk, dv| {
        let spans = &key_spans[i * BLOCK..(i * BLOCK + BLOCK).min(key_spans.len())];
        let (k, v) = (&k[i * chunk..], &v[i * chunk..]);
        for head in 0..heads {
            let share = heads / kv_heads;
            let keys = Block::new([kv_heads, head / share, hd], spans.iter().copied());
            let rows = Rows { q, d_o, stats, heads, head };
            let grads = Grads { dk, dv, accumulate: head % share > 0 };
            gather_block(&keys, spans, (k, v), &rows, p.scale, grads);
        }
    });
}

/// One head of all rows.
struct Rows<'a> {
    q: &'a [f32],
    d_o: &'a [f32],
    stats: &'a [[f32; 2]],
    heads: usize,
    head: usize,
}

/// What the block's keys have gathered; the first head of a group overwrites.
struct Grads<'a> {
    dk: &'a mut [f32],
    dv: &'a mut [f32],
    accumulate: bool,
}

fn gather_block(
    keys: &Block,
    spans: &[[u32; 2]],
    (k, v): (&[f32], &[f32]),
    rows: &Rows<'_>,
    scale: f32,
    grads: Grads<'_>,
) {
    let (n, hd) = (spans.len(), keys.hd);
    // A key's span is of rows: these are the rows that see any key of the block.
    let (first, last) = (keys.lo, keys.hi);
    let m = last - first;
    let stride = rows.heads * hd;
    let from = (first * stride + rows.head * hd).min(rows.q.len());
    let q = Operand::rows(&rows.q[from..], stride);
    let d_o = Operand::rows(&rows.d_o[from..], stride);
    // Scores and their gradients, a key a row: [n, m].
    let (mut weights, mut ds) = (vec![0.0; n * m], vec![0.0; n * m]);
    let wide = m.max(1);
    matrix_product_here([n, m, hd], keys.of(k), q.t(), (&mut weights, wide), false, scale);
    matrix_product_here([n, m, hd], keys.of(v), d_o.t(), (&mut ds, wide), false, 1.0);
    let stats: Vec<[f32; 2]> =
        (first..last).map(|row| rows.stats[row * rows.heads + rows.head]).collect();
    for (s, &[t0, t1]) in spans.iter().enumerate() {
        let seen = if t0 < t1 { t0 as usize - first..t1 as usize - first } else { 0..0 };
        let (weights, ds) = (&mut weights[s * m..(s + 1) * m], &mut ds[s * m..(s + 1) * m]);
        for row in [&mut *weights, &mut *ds] {
            row[..seen.start].fill(0.0);
            row[seen.end..].fill(0.0);
        }
        score_grads(&stats[seen.clone()], &mut weights[seen.clone()], &mut ds[seen]);
    }
    let at = keys.head * hd;
    let (dk, dv) = (&mut grads.dk[at..], &mut grads.dv[at..]);
    let out = keys.heads * hd;
    let (weights, ds) = (Operand::rows(&weights, m), Operand::rows(&ds, m));
    matrix_product_here([n, hd, m], weights, d_o, (dv, out), grads.accumulate, 1.0);
    matrix_product_here([n, hd, m], ds, q, (dk, out), grads.accumulate, scale);
}

/// Scores become P = e^(score - LSE), dP becomes dS = P (dP - D); a stat is a row's LSE and D.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn score_grads(stats: &[[f32; 2]], weights: &mut [f32], ds: &mut [f32]) {
    for ((weight, ds), [lse, d]) in weights.iter_mut().zip(ds).zip(stats) {
        *weight = lanes::exp(*weight - lse);
        *ds = *weight * (*ds - d);
    }
}
