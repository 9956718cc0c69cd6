//! o = softmax(q kᵀ / sqrt(hd)) v, each row over its own span of keys, key heads shared by groups of query heads.
//!
//! A span makes causal masks, packed sequences and a cache that is longer than its use all the same thing. Beside o it
//! writes each row's log-sum-exp, which is all that the backward pass needs to have the probabilities again. Decoding's one
//! row and a prompt's many take the same way on the CPU: a block of rows by the heads that share a key head.

use super::factors::{self, Factors, times_a};
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

/// The score of a key that is not seen, less than any other.
const HIDDEN: f32 = -1.0e30;

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rows, heads, kv_heads) = (p.rows as usize, p.heads as usize, p.kv_heads as usize);
    let (hd, share) = (AttentionShape::head_dim_of(p.scale), heads / kv_heads);
    let (q, k, v) = (call.input::<f32>(0), call.input::<f32>(1), call.input::<f32>(2));
    let spans = &call.input::<Span>(3)[..rows];
    let (o, behind) = call.output::<f32>(5).split_at_mut(rows * heads * hd);
    let stats = &mut call.output::<f32>(6)[..rows * heads * 2];
    // Rows of texts side by side, which see keys of their own, are blocks of their own.
    let block = if see_apart(&spans[..rows.min(BLOCK)]) { 1 } else { BLOCK };
    let o_tiles = (Tile::of(o, heads * hd, [rows, heads * hd]), [block, share * hd]);
    let stats_tiles = (Tile::of(stats, heads * 2, [rows, heads * 2]), [block, share * 2]);
    for_each_tile_pair(o_tiles, stats_tiles, |[i, kv_head], o, stats| {
        let spans = &spans[i * block..][..o.dims()[0]];
        let q_at = (i * block * heads + kv_head * share) * hd;
        let q = Head::new(q, q_at, heads * hd, hd);
        let seen = seen_by_any(spans);
        let keys = |of| Head::new(of, (seen.start * kv_heads + kv_head) * hd, kv_heads * hd, hd);
        attend(q, [keys(k), keys(v)], spans, p.scale, o, stats);
    });
    if p.rank > 0 {
        let a = &call.input::<u16>(4)[4 * p.a_at as usize..];
        let shares = behind.chunks_mut(p.rank as usize);
        for (head, (o, share)) in o.chunks(hd).zip(shares).enumerate() {
            times_a(&a[head * hd..], heads * hd, o, share);
        }
    }
}

/// Do the rows see so little of what any of them sees that a product with all of it would be wasted?
fn see_apart(spans: &[Span]) -> bool {
    let seen: u32 = spans.iter().map(|[lo, hi, ..]| hi.saturating_sub(*lo)).sum();
    3 * (seen as usize) < spans.len() * seen_by_any(spans).len()
}

/// The heads that share a key head, over a block of rows; k and v begin with the first key that any of the rows sees.
fn attend(
    q: Head<'_>,
    [k, v]: [Head<'_>; 2],
    spans: &[Span],
    scale: f32,
    mut o: Tile<'_>,
    mut stats: Tile<'_>,
) {
    let (hd, seen) = (q.head_dim, seen_by_any(spans));
    let [rows, share] = [o.dims()[0], o.dims()[1] / hd];
    let (n, width) = (seen.len(), whole(share * rows));
    with_scratch(&SCRATCH, (hd + n + whole(hd) + 2) * width, |scratch| {
        let (columns, scratch) = scratch.split_at_mut(hd * width);
        let (scores, scratch) = scratch.split_at_mut(n * width);
        let (peaks, scratch) = scratch.split_at_mut(width);
        let (totals, sums) = scratch.split_at_mut(width);
        q.columns([share, rows], scale, columns);
        let columns = Rows { data: columns, stride: width };
        product(hd, k.rows(), columns, &mut Tile::of(scores, width, [n, width]), false);
        Sight::of(spans, share).hide(seen.start, scores, HIDDEN);
        softmax(scores, peaks, totals);
        let (weights, mut copy) = (Rows { data: scores, stride: width }, Vec::new());
        let mut sums = Tile::of(sums, whole(hd), [share * rows, whole(hd)]);
        product(n, weights.t(), v.vectors(n, &mut copy), &mut sums, false);
        for column in 0..share * rows {
            let (head, row) = (column / rows, column % rows);
            let (peak, total) = (peaks[column], totals[column]);
            // A row that sees no key gets zeros, and a log-sum-exp of about minus infinity.
            let (by, lse) =
                if peak > HIDDEN { (1.0 / total, peak + total.ln()) } else { (0.0, HIDDEN) };
            let o = &mut o.row(row)[head * hd..][..hd];
            o.iter_mut().zip(sums.row(column)).for_each(|(o, sum)| *o = *sum * by);
            stats.row(row)[2 * head..][..2].copy_from_slice(&[lse, 0.0]);
        }
    });
}

/// Makes the scores of each column e^(score - peak); peak is their largest, total the sum of what they become.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn softmax(scores: &mut [f32], peaks: &mut [f32], totals: &mut [f32]) {
    let width = peaks.len();
    let (peaks, totals) = (peaks.as_chunks_mut::<STEP>().0, totals.as_chunks_mut::<STEP>().0);
    peaks.fill([HIDDEN; STEP]);
    totals.fill([0.0; STEP]);
    for row in scores.chunks_exact(width) {
        for (peaks, scores) in peaks.iter_mut().zip(row.as_chunks::<STEP>().0) {
            for i in 0..STEP {
                peaks[i] = if scores[i] > peaks[i] { scores[i] } else { peaks[i] };
            }
        }
    }
    for row in scores.chunks_exact_mut(width) {
        let scores = row.as_chunks_mut::<STEP>().0;
        for ((scores, peaks), totals) in scores.iter_mut().zip(&*peaks).zip(&mut *totals) {
            for i in 0..STEP {
                scores[i] = lanes::exp(scores[i] - peaks[i]);
                totals[i] += scores[i];
            }
        }
    }
}
