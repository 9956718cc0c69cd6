//! o = softmax(q kᵀ / sqrt(hd)) v, each row over its own span of keys, key heads shared by groups of query heads.
//!
//! A span makes causal masks, packed sequences and a cache that is longer than its use all the same thing. Beside o it
//! writes each row's log-sum-exp, which is all that the backward pass needs to have the probabilities again.

use super::lanes;
use super::launch::{Checks, groups, params};
use super::parallel::for_each_chunk_pair_mut;
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

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (heads, kv_heads) = (p.heads as usize, p.kv_heads as usize);
    let n = p.rows as usize * heads;
    let spans = call.input::<[u32; 4]>(3);
    let hd = AttentionShape::head_dim_of(p.scale);
    let (q, k, v) = (call.input::<f32>(0), call.input::<f32>(1), call.input::<f32>(2));
    let o = &mut call.output::<f32>(4)[..n * hd];
    let stats = &mut call.output::<f32>(5)[..n * 2];
    for_each_chunk_pair_mut((o, hd), (stats, 2), |i, o, stats| {
        let [lo, hi, hole_lo, hole_hi] = spans[i / heads].map(|key| key as usize);
        // Two ranges: before the hole and after it.
        let before = lo..hi.min(hole_lo.max(lo));
        let ranges = if hole_lo < hole_hi { [before, hole_hi.max(lo)..hi] } else { [lo..hi, 0..0] };
        let at = (i % heads) / (heads / kv_heads) * hd;
        let keys = Keys { k: &k[at..], v: &v[at..], stride: kv_heads * hd, ranges };
        stats[0] = attend(&q[i * hd..][..hd], &keys, p.scale, o);
        stats[1] = 0.0;
    });
}

/// The keys of one head that a row sees.
struct Keys<'a> {
    k: &'a [f32],
    v: &'a [f32],
    stride: usize,
    ranges: [Range<usize>; 2],
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn attend(q: &[f32], keys: &Keys, scale: f32, o: &mut [f32]) -> f32 {
    o.fill(0.0);
    let hd = q.len();
    let row = |key: usize| key * keys.stride..key * keys.stride + hd;
    let seen = || keys.ranges.iter().flat_map(Range::clone);
    let mut scores: Vec<f32> = Vec::with_capacity(keys.ranges[0].len() + keys.ranges[1].len());
    for key in seen() {
        scores.push(lanes::dot(q, &keys.k[row(key)]) * scale);
    }
    if scores.is_empty() {
        return -1.0e30;
    }
    let peak = lanes::max(&scores);
    for score in &mut scores {
        *score = lanes::exp(*score - peak);
    }
    let total = lanes::sum(&scores);
    for (key, weight) in seen().zip(&scores) {
        lanes::add_scaled(weight / total, &keys.v[row(key)], o);
    }
    peak + total.ln()
}
