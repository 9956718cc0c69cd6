//! o = softmax(q kᵀ / sqrt(hd)) v, each row over its own span of keys, key heads shared by groups of query heads.
//!
//! A span makes causal masks, packed sequences and a cache that is longer than its use all the same thing. Beside o it
//! writes each row's log-sum-exp, which is all that the backward pass needs to have the probabilities again.

use super::lanes;
use super::launch::{Checks, groups, params};
use super::parallel::{Operand, for_each_chunk_pair_mut, matrix_product_here};
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::Tensor;
use multiversion::multiversion;
use std::ops::Range;

params! {
    rows: u32,
    heads: u32,
    kv_heads: u32,
    scale: f32,
}

/// The kernel of [`attention`].
pub static ATTENTION: KernelDef = KernelDef {
    name: "attention",
    wgsl: include_str!("../../shaders/attention.wgsl"),
    bindings: &[
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

/// How rows are made of heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionShape {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads, a divisor of `heads`.
    pub kv_heads: usize,
    /// Elements of a head: a multiple of 4, at most 128.
    pub head_dim: usize,
}

impl AttentionShape {
    /// Lanes of a workgroup and keys of a tile. Two elements of a head a lane make the limit of 128.
    pub(super) const WG: u32 = 64;

    pub(super) fn check(self, checks: Checks, q: &Tensor, k: &Tensor, v: &Tensor) -> Checks {
        let hd = self.head_dim;
        let dims = hd.is_multiple_of(4) && (4..=128).contains(&hd);
        checks
            .that(dims, "head_dim is no multiple of 4 up to 128")
            .that(self.kv_heads > 0 && self.heads.is_multiple_of(self.kv_heads), "uneven groups")
            .that(self.heads > 0 && q.rows > 0 && k.rows > 0, "nothing to attend")
            .shape("q", q, q.rows, self.heads * hd)
            .shape("k", k, k.rows, self.kv_heads * hd)
            .shape("v", v, k.rows, self.kv_heads * hd)
    }

    pub(super) fn scale(self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    /// A head's size from its scale: a constant of the pipeline on the GPU, so no param of its own.
    pub(super) fn head_dim_of(scale: f32) -> usize {
        (1.0 / (scale * scale)).round() as usize
    }
}

/// o `[rows, H hd]` from q `[rows, H hd]`, k and v `[keys, KV hd]`; row t sees the keys `lo..hi` of its span but for
/// those in its hole `lo..hi`: spans `[rows, 4]`. The hole lets branches of one prompt share its keys.
///
/// stats `[rows, H 2]` gets the log-sum-exp of each row and head, and a zero beside it. A row with an empty span gets
/// zeros. Spans must lie within the keys.
#[expect(clippy::too_many_arguments, reason = "the kernel's bindings in order")]
pub fn attention(
    rec: &mut Recording,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    spans: &View,
    o: &Tensor,
    stats: &Tensor,
    shape: AttentionShape,
) -> Result<(), DeviceError> {
    shape
        .check(Checks::new(&ATTENTION), q, k, v)
        .shape("o", o, q.rows, q.cols)
        .shape("stats", stats, q.rows, 2 * shape.heads)
        .words("spans", spans, 4 * q.rows)
        .done()?;
    let views = [&q.view, &k.view, &v.view, spans, &o.view, &stats.view].map(View::clone);
    let params = Params {
        rows: q.rows as u32,
        heads: shape.heads as u32,
        kv_heads: shape.kv_heads as u32,
        scale: shape.scale(),
    };
    let dispatch = Shape {
        overrides: &[("WG", AttentionShape::WG), ("HEAD_DIM", shape.head_dim as u32)],
        groups: groups(q.rows * shape.heads),
        // As if each row saw half of the keys.
        flops: 2 * (q.rows * k.rows * q.cols) as u64,
        ..Shape::default()
    };
    rec.dispatch(&ATTENTION, &params, &views, &dispatch)
}

/// Rows of a block on the CPU, whose scores are one matrix product a head.
pub(super) const BLOCK: usize = 32;

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rows, heads, kv_heads) = (p.rows as usize, p.heads as usize, p.kv_heads as usize);
    let hd = AttentionShape::head_dim_of(p.scale);
    let (q, k, v) = (call.input::<f32>(0), call.input::<f32>(1), call.input::<f32>(2));
    let spans = &call.input::<[u32; 4]>(3)[..rows];
    let o = &mut call.output::<f32>(4)[..rows * heads * hd];
    let stats = &mut call.output::<f32>(5)[..rows * heads * 2];
    // A few rows (decoding) are many tasks by their heads; many rows are tasks by blocks.
    if rows < 8 {
        for_each_chunk_pair_mut((o, hd), (stats, 2), |i, o, stats| {
            let (t, kv_head) = (i / heads, (i % heads) / (heads / kv_heads));
            let keys = Keys { k, v, stride: kv_heads * hd, at: kv_head * hd };
            stats[0] = attend(&q[i * hd..][..hd], &keys, spans[t], p.scale, o);
            stats[1] = 0.0;
        });
        return;
    }
    let (o, stats) = ((o, BLOCK * heads * hd), (stats, BLOCK * heads * 2));
    for_each_chunk_pair_mut(o, stats, |i, o, stats| {
        let q = &q[i * BLOCK * heads * hd..];
        let spans = &spans[i * BLOCK..(i * BLOCK + BLOCK).min(rows)];
        for head in 0..heads {
            let at = head / (heads / kv_heads) * hd;
            let keys = Keys { k, v, stride: kv_heads * hd, at };
            let block = Block::new([heads, head, hd], spans.iter().map(|s| [s[0], s[1]]));
            attend_block(&block, spans, q, &keys, p.scale, o, stats);
        }
    });
}

/// The keys of one head.
struct Keys<'a> {
    k: &'a [f32],
    v: &'a [f32],
    stride: usize,
    at: usize,
}

/// What a row sees, before its hole and after it, as indices from key `base` on.
fn seen([lo, hi, hole_lo, hole_hi]: [u32; 4], base: usize) -> [Range<usize>; 2] {
    if lo >= hi {
        return [0..0, 0..0];
    }
    let (from, to) =
        if hole_lo < hole_hi { (hole_lo.clamp(lo, hi), hole_hi.clamp(lo, hi)) } else { (hi, hi) };
    let at = |key: u32| key as usize - base;
    [at(lo)..at(from), at(to)..at(hi)]
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn attend(q: &[f32], keys: &Keys, span: [u32; 4], scale: f32, o: &mut [f32]) -> f32 {
    o.fill(0.0);
    let row = |key: usize| key * keys.stride + keys.at..key * keys.stride + keys.at + q.len();
    let ranges = seen(span, 0);
    let mut scores: Vec<f32> = Vec::with_capacity(ranges[0].len() + ranges[1].len());
    for key in ranges.iter().flat_map(Range::clone) {
        scores.push(lanes::dot(q, &keys.k[row(key)]) * scale);
    }
    let n = scores.len();
    let lse = normalize(&mut scores, &[0..n, n..n]);
    for (key, weight) in ranges.iter().flat_map(Range::clone).zip(&scores) {
        lanes::add_scaled(*weight, &keys.v[row(key)], o);
    }
    lse
}

/// The probabilities of the scores in the two ranges, zero for the others; returns the log-sum-exp.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn normalize(row: &mut [f32], ranges: &[Range<usize>; 2]) -> f32 {
    let [before, after] = ranges;
    row[..before.start].fill(0.0);
    row[before.end..after.start.max(before.end)].fill(0.0);
    row[after.end.max(before.end)..].fill(0.0);
    if before.is_empty() && after.is_empty() {
        return -1.0e30;
    }
    let peak = lanes::max(&row[before.clone()]).max(lanes::max(&row[after.clone()]));
    let mut total = 0.0;
    for range in ranges {
        for weight in &mut row[range.clone()] {
            *weight = lanes::exp(*weight - peak);
        }
        total += lanes::sum(&row[range.clone()]);
    }
    for range in ranges {
        for weight in &mut row[range.clone()] {
            *weight /= total;
        }
    }
    peak + total.ln()
}

/// One head of a block of rows, and the keys from the first to the last that any of them sees.
pub(super) struct Block {
    pub heads: usize,
    pub head: usize,
    pub hd: usize,
    pub lo: usize,
    pub hi: usize,
}

impl Block {
    /// Head `head` of `heads` with `hd` elements; a span is a row's first key and the one after its last.
    pub fn new([heads, head, hd]: [usize; 3], spans: impl Iterator<Item = [u32; 2]>) -> Block {
        let seen = spans.filter(|[lo, hi]| lo < hi);
        let (lo, hi) =
            seen.fold((u32::MAX, 0), |(lo, hi), span| (lo.min(span[0]), hi.max(span[1])));
        Block { heads, head, hd, lo: lo.min(hi) as usize, hi: hi as usize }
    }

    /// This head of a matrix `[rows, heads * hd]`.
    pub fn of<'m>(&self, matrix: &'m [f32]) -> Operand<'m> {
        Operand::rows(&matrix[self.head * self.hd..], self.heads * self.hd)
    }
}

fn attend_block(
    block: &Block,
    spans: &[[u32; 4]],
    q: &[f32],
    keys: &Keys<'_>,
    scale: f32,
    o: &mut [f32],
    stats: &mut [f32],
) {
    let (rows, heads, hd) = (spans.len(), block.heads, block.hd);
    let n = block.hi - block.lo;
    let mut scores = vec![0.0; rows * n];
    let from = (block.lo * keys.stride + keys.at).min(keys.k.len());
    let k = Operand::rows(&keys.k[from..], keys.stride).t();
    matrix_product_here([rows, n, hd], block.of(q), k, (&mut scores, n.max(1)), false, scale);
    for (t, span) in spans.iter().enumerate() {
        let lse = normalize(&mut scores[t * n..(t + 1) * n], &seen(*span, block.lo));
        stats[2 * (t * heads + block.head)..][..2].copy_from_slice(&[lse, 0.0]);
    }
    let v = Operand::rows(&keys.v[from..], keys.stride);
    let o = (&mut o[block.head * hd..], heads * hd);
    matrix_product_here([rows, hd, n], Operand::rows(&scores, n), v, o, false, 1.0);
}
