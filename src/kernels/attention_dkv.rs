//! The keys' and values' gradients of attention: each key gathers from the rows that see it, over its group's heads.
//!
//! forward: S = q kᵀ c, P = exp(S - LSE), o = P v, c = 1 / sqrt(hd)
//! dv = Pᵀ do, dS = P (do vᵀ - D), dk = c dSᵀ q (Dao et al. 2022). Runs after `attention_dq`, which writes D.

use super::attention::AttentionShape;
use super::heads::{BLOCK, Head, STEP, Sight, product, seen_by_any, whole};
use super::lanes;
use super::launch::{Checks, groups, params};
use super::micro::Rows;
use super::panel::with_scratch;
use super::parallel::{Tile, for_each_tile_pair};
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::Tensor;
use multiversion::multiversion;
use std::cell::RefCell;

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

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (keys, heads, kv_heads) = (p.rows as usize, p.heads as usize, p.kv_heads as usize);
    let (hd, share) = (AttentionShape::head_dim_of(p.scale), heads / kv_heads);
    let (q, k, v) = (call.input::<f32>(0), call.input::<f32>(1), call.input::<f32>(2));
    let (d_o, stats) = (call.input::<f32>(3), call.input::<[f32; 2]>(4));
    let key_spans = &call.input::<[u32; 2]>(5)[..keys];
    let cols = kv_heads * hd;
    let [dk, dv] = [6, 7].map(|i| {
        let out = &mut call.output::<f32>(i)[..keys * cols];
        (Tile::of(out, cols, [keys, cols]), [BLOCK, hd])
    });
    for_each_tile_pair(dk, dv, |[i, kv_head], dk, dv| {
        let spans = &key_spans[i * BLOCK..][..dk.dims()[0]];
        let at = (i * BLOCK * kv_heads + kv_head) * hd;
        let keys = [k, v].map(|of| Head::new(of, at, cols, hd));
        // The spans are of rows, so what any key of the block is seen by are rows, too.
        let first = seen_by_any(spans).start;
        let group = (kv_head * share..(kv_head + 1) * share).map(|head| {
            let queries = |of| Head::new(of, (first * heads + head) * hd, heads * hd, hd);
            let stats = &stats[(first * heads + head).min(stats.len())..];
            Queries { q: queries(q), d_o: queries(d_o), stats, heads }
        });
        gather_block(keys, spans, group, p.scale, [dk, dv]);
    });
}

/// One head of the rows from the first on that sees any key of a block; the stats of a row are `heads` apart.
struct Queries<'a> {
    q: Head<'a>,
    d_o: Head<'a>,
    stats: &'a [[f32; 2]],
    heads: usize,
}

fn gather_block<'a>(
    [k, v]: [Head<'_>; 2],
    spans: &[[u32; 2]],
    group: impl Iterator<Item = Queries<'a>>,
    scale: f32,
    [mut dk, mut dv]: [Tile<'_>; 2],
) {
    let (hd, seen) = (k.head_dim, seen_by_any(spans));
    // Scores and their gradients have a row a line and a key a column.
    let (m, keys, width) = (seen.len(), spans.len(), whole(spans.len()));
    let sums_len = keys * whole(hd);
    with_scratch(&SCRATCH, 2 * (hd + m) * width + 2 * sums_len, |scratch| {
        let (k_columns, scratch) = scratch.split_at_mut(hd * width);
        let (v_columns, scratch) = scratch.split_at_mut(hd * width);
        let (weights, scratch) = scratch.split_at_mut(m * width);
        let (ds, scratch) = scratch.split_at_mut(m * width);
        let (dk_sums, dv_sums) = scratch.split_at_mut(sums_len);
        k.columns([1, keys], scale, k_columns);
        v.columns([1, keys], 1.0, v_columns);
        let sight = Sight::of(spans, 1);
        let mut copy = Vec::new();
        let [mut dk_sums, mut dv_sums] =
            [dk_sums, dv_sums].map(|sums| Tile::of(sums, whole(hd), [keys, whole(hd)]));
        for (g, rows) in group.enumerate() {
            for (x, columns, to) in
                [(rows.q, &*k_columns, &mut *weights), (rows.d_o, &*v_columns, &mut *ds)]
            {
                let columns = Rows { data: columns, stride: width };
                product(hd, x.rows(), columns, &mut Tile::of(to, width, [m, width]), false);
            }
            score_grads(rows.stats, rows.heads, width, weights, ds);
            for (of, x, sums) in
                [(&mut *weights, rows.d_o, &mut dv_sums), (&mut *ds, rows.q, &mut dk_sums)]
            {
                sight.hide(seen.start, of, 0.0);
                let of = Rows { data: of, stride: width };
                product(m, of.t(), x.vectors(m, &mut copy), sums, g > 0);
            }
        }
        for key in 0..keys {
            let sums = dk_sums.row(key).iter();
            dk.row(key).iter_mut().zip(sums).for_each(|(dk, sum)| *dk = *sum * scale);
            dv.row(key).copy_from_slice(&dv_sums.row(key)[..hd]);
        }
    });
}

/// Scores become P = e^(score - LSE), dP becomes dS = P (dP - D); a row has its LSE and D.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn score_grads(
    stats: &[[f32; 2]],
    heads: usize,
    width: usize,
    weights: &mut [f32],
    ds: &mut [f32],
) {
    let rows = weights.chunks_exact_mut(width).zip(ds.chunks_exact_mut(width));
    for ((weights, ds), [lse, d]) in rows.zip(stats.iter().step_by(heads)) {
        let weights = weights.as_chunks_mut::<STEP>().0.iter_mut();
        for (weights, ds) in weights.zip(ds.as_chunks_mut::<STEP>().0) {
            for i in 0..STEP {
                weights[i] = lanes::exp(weights[i] - lse);
                ds[i] = weights[i] * (ds[i] - d);
            }
        }
    }
}
