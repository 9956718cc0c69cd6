//! The queries' gradient of attention, and D = Σ do o of each row and head, which the keys' gradients need too.
//!
//! forward: S = q kᵀ c, P = exp(S - LSE), o = P v, c = 1 / sqrt(hd)
//! dP = do vᵀ, dS = P (dP - D), dq = c dS k (Dao et al. 2022)

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
    let (rows, heads, kv_heads) = (p.rows as usize, p.heads as usize, p.kv_heads as usize);
    let hd = AttentionShape::head_dim_of(p.scale);
    let (q, k, v) = (call.input::<f32>(0), call.input::<f32>(1), call.input::<f32>(2));
    let (o, d_o) = (call.input::<f32>(3), call.input::<f32>(4));
    let spans = &call.input::<[u32; 4]>(5)[..rows];
    let stats = &mut call.output::<f32>(6)[..rows * heads * 2];
    let dq = &mut call.output::<f32>(7)[..rows * heads * hd];
    let (dq, stats) = ((dq, BLOCK * heads * hd), (stats, BLOCK * heads * 2));
    for_each_chunk_pair_mut(dq, stats, |i, dq, stats| {
        let start = i * BLOCK * heads * hd;
        let spans = &spans[i * BLOCK..(i * BLOCK + BLOCK).min(rows)];
        for head in 0..heads {
            let at = head / (heads / kv_heads) * hd;
            // Rows' spans without their holes: training has no branches.
            let block = Block::new([heads, head, hd], spans.iter().map(|s| [s[0], s[1]]));
            let (q, o, d_o) = (&q[start..], &o[start..], &d_o[start..]);
            let inputs = Inputs { q, o, d_o, k, v, stride: kv_heads * hd, at };
            grad_block(&block, spans, &inputs, p.scale, dq, stats);
        }
    });
}

/// The block's rows of q, o and d_o, and all keys, of which one head starts at `at` of each row.
struct Inputs<'a> {
    q: &'a [f32],
    o: &'a [f32],
    d_o: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    stride: usize,
    at: usize,
}

fn grad_block(
    block: &Block,
    spans: &[[u32; 4]],
    inputs: &Inputs<'_>,
    scale: f32,
    dq: &mut [f32],
    stats: &mut [f32],
) {
    let (rows, heads, hd) = (spans.len(), block.heads, block.hd);
    let (lo, hi) = (block.lo, block.hi);
    let n = hi - lo;
    let from = (lo * inputs.stride + inputs.at).min(inputs.k.len());
    let k = Operand::rows(&inputs.k[from..], inputs.stride);
    let v = Operand::rows(&inputs.v[from..], inputs.stride);
    let (mut scores, mut ds) = (vec![0.0; rows * n], vec![0.0; rows * n]);
    let stride = n.max(1);
    matrix_product_here(
        [rows, n, hd],
        block.of(inputs.q),
        k.t(),
        (&mut scores, stride),
        false,
        scale,
    );
    matrix_product_here([rows, n, hd], block.of(inputs.d_o), v.t(), (&mut ds, stride), false, 1.0);
    for (t, &[first, last, ..]) in spans.iter().enumerate() {
        let at = (t * heads + block.head) * hd;
        let stat = &mut stats[2 * (t * heads + block.head)..][..2];
        stat[1] = inner(&inputs.d_o[at..at + hd], &inputs.o[at..at + hd]);
        let seen = if first < last { first as usize - lo..last as usize - lo } else { 0..0 };
        let ds = &mut ds[t * n..(t + 1) * n];
        ds[..seen.start].fill(0.0);
        ds[seen.end..].fill(0.0);
        score_grads(&scores[t * n..][seen.clone()], [stat[0], stat[1]], &mut ds[seen]);
    }
    let dq = (&mut dq[block.head * hd..], heads * hd);
    matrix_product_here([rows, hd, n], Operand::rows(&ds, n), k, dq, false, scale);
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn inner(a: &[f32], b: &[f32]) -> f32 {
    lanes::dot(a, b)
}

/// dP becomes dS = P (dP - D), with P = e^(score - LSE); stat is LSE and D.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn score_grads(scores: &[f32], stat: [f32; 2], ds: &mut [f32]) {
    for (ds, score) in ds.iter_mut().zip(scores) {
        *ds = lanes::exp(score - stat[0]) * (*ds - stat[1]);
    }
}
