//! The queries' gradient of attention, and D = Σ do o of each row and head, which the keys' gradients need too.
//!
//! forward: S = q kᵀ c, P = exp(S - LSE), o = P v, c = 1 / sqrt(hd)
//! dP = do vᵀ, dS = P (dP - D), dq = c dS k (Dao et al. 2022)

use super::attention::{AttentionShape, Span};
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

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rows, heads, kv_heads) = (p.rows as usize, p.heads as usize, p.kv_heads as usize);
    let (hd, share) = (AttentionShape::head_dim_of(p.scale), heads / kv_heads);
    let (q, k, v) = (call.input::<f32>(0), call.input::<f32>(1), call.input::<f32>(2));
    let (o, d_o) = (call.input::<f32>(3), call.input::<f32>(4));
    let spans = &call.input::<Span>(5)[..rows];
    let stats = &mut call.output::<f32>(6)[..rows * heads * 2];
    let dq = &mut call.output::<f32>(7)[..rows * heads * hd];
    let dq = (Tile::of(dq, heads * hd, [rows, heads * hd]), [BLOCK, share * hd]);
    let stats = (Tile::of(stats, heads * 2, [rows, heads * 2]), [BLOCK, share * 2]);
    for_each_tile_pair(dq, stats, |[i, kv_head], dq, stats| {
        let spans = &spans[i * BLOCK..][..dq.dims()[0]];
        let at = (i * BLOCK * heads + kv_head * share) * hd;
        let queries = |of| Head::new(of, at, heads * hd, hd);
        let seen = seen_by_any(spans);
        let keys = |of| Head::new(of, (seen.start * kv_heads + kv_head) * hd, kv_heads * hd, hd);
        let inputs =
            Inputs { q: queries(q), o: queries(o), d_o: queries(d_o), k: keys(k), v: keys(v) };
        grad_block(&inputs, spans, p.scale, dq, stats);
    });
}

/// The heads that share a key head, over a block of rows; k and v begin with the first key that any of the rows sees.
struct Inputs<'a> {
    q: Head<'a>,
    o: Head<'a>,
    d_o: Head<'a>,
    k: Head<'a>,
    v: Head<'a>,
}

fn grad_block(
    inputs: &Inputs<'_>,
    spans: &[Span],
    scale: f32,
    mut dq: Tile<'_>,
    mut stats: Tile<'_>,
) {
    let (hd, seen) = (inputs.q.head_dim, seen_by_any(spans));
    let [rows, share] = [dq.dims()[0], dq.dims()[1] / hd];
    let (n, width) = (seen.len(), whole(share * rows));
    with_scratch(&SCRATCH, (hd + 2 * n + whole(hd) + 2) * width, |scratch| {
        let (columns, scratch) = scratch.split_at_mut(hd * width);
        let (scores, scratch) = scratch.split_at_mut(n * width);
        let (ds, scratch) = scratch.split_at_mut(n * width);
        let (lses, scratch) = scratch.split_at_mut(width);
        let (d, sums) = scratch.split_at_mut(width);
        for (x, keys, by, to) in
            [(inputs.q, inputs.k, scale, &mut *scores), (inputs.d_o, inputs.v, 1.0, &mut *ds)]
        {
            x.columns([share, rows], by, columns);
            let columns = Rows { data: columns, stride: width };
            product(hd, keys.rows(), columns, &mut Tile::of(to, width, [n, width]), false);
        }
        for column in 0..share * rows {
            let (head, row) = (column / rows, column % rows);
            let stat = &mut stats.row(row)[2 * head..][..2];
            let at = row * inputs.o.stride + head * hd;
            stat[1] = inner(&inputs.d_o.data[at..][..hd], &inputs.o.data[at..][..hd]);
            (lses[column], d[column]) = (stat[0], stat[1]);
        }
        lses[share * rows..].fill(0.0);
        d[share * rows..].fill(0.0);
        score_grads(scores, lses, d, ds);
        Sight::of(spans, share).hide(seen.start, ds, 0.0);
        let (ds, mut copy) = (Rows { data: ds, stride: width }, Vec::new());
        let mut sums = Tile::of(sums, whole(hd), [share * rows, whole(hd)]);
        product(n, ds.t(), inputs.k.vectors(n, &mut copy), &mut sums, false);
        for column in 0..share * rows {
            let dq = &mut dq.row(column % rows)[column / rows * hd..][..hd];
            dq.iter_mut().zip(sums.row(column)).for_each(|(dq, sum)| *dq = *sum * scale);
        }
    });
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn inner(a: &[f32], b: &[f32]) -> f32 {
    lanes::dot(a, b)
}

/// dP becomes dS = P (dP - D), with P = e^(score - LSE); a column has its LSE and D.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn score_grads(scores: &[f32], lses: &[f32], d: &[f32], ds: &mut [f32]) {
    let width = lses.len();
    let (lses, d) = (lses.as_chunks::<STEP>().0, d.as_chunks::<STEP>().0);
    for (scores, ds) in scores.chunks_exact(width).zip(ds.chunks_exact_mut(width)) {
        let scores = scores.as_chunks::<STEP>().0.iter();
        let ds = ds.as_chunks_mut::<STEP>().0.iter_mut();
        for (((ds, scores), lses), d) in ds.zip(scores).zip(lses).zip(d) {
            for i in 0..STEP {
                ds[i] = lanes::exp(scores[i] - lses[i]) * (ds[i] - d[i]);
            }
        }
    }
}
