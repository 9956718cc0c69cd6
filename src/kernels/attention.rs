//! o = softmax(q kᵀ / sqrt(hd)) v, each row over its own span of keys, key heads shared by groups of query heads.
//!
//! A span makes causal masks, packed sequences and a cache that is longer than its use all the same thing. Beside o it
//! writes each row's log-sum-exp, which is all that the backward pass needs to have the probabilities again.

use super::factors::{self, Factors, times_a};
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
    rank: u32,
    a_at: u32,
    pad: [u32; 2],
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
///
/// With an adapter's factor `a` (the first of its places) for the product behind, of one row alone, each head's share of
/// u = A o `[H, rank]` comes behind o.
#[expect(clippy::too_many_arguments, reason = "the kernel's bindings in order")]
pub fn attention(
    rec: &mut Recording,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    spans: &View,
    a: Option<Factors<'_>>,
    o: &Tensor,
    stats: &Tensor,
    shape: AttentionShape,
) -> Result<(), DeviceError> {
    shape
        .check(Checks::new(&ATTENTION), q, k, v)
        .shape("o", o, q.rows, q.cols)
        .shape("stats", stats, q.rows, 2 * shape.heads)
        .words("spans", spans, 4 * q.rows)
        .that(a.is_none() || q.rows == 1, "an adapter beside several rows")
        .words("o", &o.view, o.rows * o.cols + shape.heads * factors::rank(a))
        .done()?;
    let lora = factors::view(a, spans);
    let views = [&q.view, &k.view, &v.view, spans, lora, &o.view, &stats.view].map(View::clone);
    let params = Params {
        rows: q.rows as u32,
        heads: shape.heads as u32,
        kv_heads: shape.kv_heads as u32,
        scale: shape.scale(),
        rank: factors::rank(a) as u32,
        a_at: factors::starts(a)[0],
        pad: [0; 2],
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

/// The keys lo..hi that a row sees, and the hole lo..hi among them that it does not.
pub(super) type Span = [u32; 4];

/// The score of a key in the hole: its probability is exactly zero.
const HIDDEN: f32 = -1.0e30;

/// Rows of a block on the CPU, whose scores are one matrix product a head.
pub(super) const BLOCK: usize = 32;

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rows, heads, kv_heads) = (p.rows as usize, p.heads as usize, p.kv_heads as usize);
    let hd = AttentionShape::head_dim_of(p.scale);
    let (q, k, v) = (call.input::<f32>(0), call.input::<f32>(1), call.input::<f32>(2));
    let spans = &call.input::<Span>(3)[..rows];
    let (o, behind) = call.output::<f32>(5).split_at_mut(rows * heads * hd);
    let stats = &mut call.output::<f32>(6)[..rows * heads * 2];
    // A few rows (decoding), or those of texts side by side that see keys of their own, are many tasks by their heads;
    // many rows are tasks by blocks.
    if rows < 8 || rows <= BLOCK && see_apart(spans) {
        for_each_chunk_pair_mut((&mut *o, hd), (stats, 2), |i, o, stats| {
            let (t, kv_head) = (i / heads, (i % heads) / (heads / kv_heads));
            let keys = Keys { k, v, stride: kv_heads * hd, at: kv_head * hd };
            stats[0] = attend(&q[i * hd..][..hd], &keys, spans[t], p.scale, o);
            stats[1] = 0.0;
        });
        if p.rank > 0 {
            let a = &call.input::<u16>(4)[4 * p.a_at as usize..];
            let shares = behind.chunks_mut(p.rank as usize);
            for (head, (o, share)) in o.chunks(hd).zip(shares).enumerate() {
                times_a(&a[head * hd..], heads * hd, o, share);
            }
        }
        return;
    }
    let (o, stats) = ((o, BLOCK * heads * hd), (stats, BLOCK * heads * 2));
    for_each_chunk_pair_mut(o, stats, |i, o, stats| {
        let q = &q[i * BLOCK * heads * hd..];
        let spans = &spans[i * BLOCK..(i * BLOCK + BLOCK).min(rows)];
        for head in 0..heads {
            let at = head / (heads / kv_heads) * hd;
            let keys = Keys { k, v, stride: kv_heads * hd, at };
            let block = Block { heads, head, hd, spans };
            attend_block(&block, q, &keys, p.scale, o, stats);
        }
    });
}

/// Do the rows see so little of what any of them sees that a product with all of it would be wasted?
fn see_apart(spans: &[Span]) -> bool {
    let seen: u32 = spans.iter().map(|[lo, hi, ..]| hi.saturating_sub(*lo)).sum();
    let (lo, hi) = all_keys(spans);
    3 * (seen as usize) < spans.len() * (hi - lo)
}

/// The first key that any row sees, and the one after the last.
fn all_keys<const N: usize>(spans: &[[u32; N]]) -> (usize, usize) {
    let seen = spans.iter().filter(|span| span[0] < span[1]);
    let (lo, hi) = seen.fold((u32::MAX, 0), |(lo, hi), span| (lo.min(span[0]), hi.max(span[1])));
    (lo.min(hi) as usize, hi as usize)
}

/// The keys of one head.
struct Keys<'a> {
    k: &'a [f32],
    v: &'a [f32],
    stride: usize,
    at: usize,
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn attend(q: &[f32], keys: &Keys, span: Span, scale: f32, o: &mut [f32]) -> f32 {
    o.fill(0.0);
    let row = |key: usize| key * keys.stride + keys.at..key * keys.stride + keys.at + q.len();
    let [lo, hi, ..] = span.map(|key| key as usize);
    let mut scores: Vec<f32> = Vec::with_capacity(hi.saturating_sub(lo));
    for key in lo..hi {
        scores.push(lanes::dot(q, &keys.k[row(key)]) * scale);
    }
    hide(&mut scores, span);
    let (share, lse) = softmax(&mut scores);
    for (key, weight) in (lo..).zip(&scores) {
        lanes::add_scaled(weight * share, &keys.v[row(key)], o);
    }
    lse
}

/// Gives the keys in the hole of a span no weight; the scores start at the span's first key.
#[inline(always)]
fn hide(scores: &mut [f32], [lo, hi, hole_lo, hole_hi]: Span) {
    let (first, last) = (hole_lo.max(lo), hole_hi.min(hi));
    if first < last {
        scores[(first - lo) as usize..(last - lo) as usize].fill(HIDDEN);
    }
}

/// Makes the scores e^(score - max); returns one over their sum (0 for none), and the log-sum-exp.
#[inline(always)]
fn softmax(scores: &mut [f32]) -> (f32, f32) {
    if scores.is_empty() {
        return (0.0, -1.0e30);
    }
    let peak = lanes::max(scores);
    for score in scores.iter_mut() {
        *score = lanes::exp(*score - peak);
    }
    let total = lanes::sum(scores);
    (1.0 / total, peak + total.ln())
}

/// One head of a block of rows.
pub(super) struct Block<'a, const N: usize> {
    pub heads: usize,
    pub head: usize,
    pub hd: usize,
    /// Each row's span: its first two numbers are lo and hi.
    pub spans: &'a [[u32; N]],
}

impl<const N: usize> Block<'_, N> {
    /// The first key that any row sees, and the one after the last.
    pub fn keys(&self) -> (usize, usize) {
        all_keys(self.spans)
    }

    /// This head of a matrix `[rows, heads * hd]`.
    pub fn of<'m>(&self, matrix: &'m [f32]) -> Operand<'m> {
        Operand::rows(&matrix[self.head * self.hd..], self.heads * self.hd)
    }
}

fn attend_block(
    block: &Block<'_, 4>,
    q: &[f32],
    keys: &Keys<'_>,
    scale: f32,
    o: &mut [f32],
    stats: &mut [f32],
) {
    let (rows, heads, hd) = (block.spans.len(), block.heads, block.hd);
    let (lo, hi) = block.keys();
    let n = hi - lo;
    let mut scores = vec![0.0; rows * n];
    let from = |data: &'_ [f32]| -> usize { (lo * keys.stride + keys.at).min(data.len()) };
    let k = Operand::rows(&keys.k[from(keys.k)..], keys.stride).t();
    matrix_product_here([rows, n, hd], block.of(q), k, (&mut scores, n.max(1)), false, scale);
    for (t, &span) in block.spans.iter().enumerate() {
        let [first, last, ..] = span;
        let row = &mut scores[t * n..(t + 1) * n];
        let seen = if first < last { first as usize - lo..last as usize - lo } else { 0..0 };
        hide(&mut row[seen.clone()], span);
        let lse = normalize(row, seen.start, seen.end);
        stats[2 * (t * heads + block.head)..][..2].copy_from_slice(&[lse, 0.0]);
    }
    let v = Operand::rows(&keys.v[from(keys.v)..], keys.stride);
    let o = (&mut o[block.head * hd..], heads * hd);
    matrix_product_here([rows, hd, n], Operand::rows(&scores, n), v, o, false, 1.0);
}

/// The probabilities of the scores first..last, zero for the others; returns the log-sum-exp.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn normalize(row: &mut [f32], first: usize, last: usize) -> f32 {
    row[..first].fill(0.0);
    row[last..].fill(0.0);
    let (share, lse) = softmax(&mut row[first..last]);
    for weight in &mut row[first..last] {
        *weight *= share;
    }
    lse
}
