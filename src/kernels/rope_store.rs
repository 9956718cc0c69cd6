//! Rotary position embedding on the way into a cache: queries turn in place, keys turn into their cache rows, and values
//! follow them (Su et al. 2021).
//!
//! Each row names its position and its row of the cache, so that many conversations can share one cache. The gradient
//! goes through [`super::rope`], inverted.

use super::launch::{Checks, WG, groups, params};
use super::parallel::for_each_chunk_mut;
use super::rope::turn_head;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::Tensor;

params! {
    rows: u32,
    heads: u32,
    kv_heads: u32,
    half: u32,
    interleaved: u32,
    pad: [u32; 3],
}

/// The kernel of [`rope_store`].
pub static ROPE_STORE: KernelDef = KernelDef {
    name: "rope_store",
    wgsl: include_str!("../../shaders/rope_store.wgsl"),
    bindings: &[
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Write,
        Access::Write,
        Access::Write,
    ],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// How rows are made of heads, and heads of pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RopeHeads {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Elements of a head, an even number.
    pub head_dim: usize,
    /// Pairs are (2i, 2i+1); else (i, i + head_dim / 2).
    pub interleaved: bool,
}

/// Turns q `[rows, H hd]` in place, and writes k, turned, and v `[rows, KV hd]` to the rows of `cache` `[.., KV hd]`.
///
/// table is `[context, hd / 2, 2]` (cosine, sine); places `[rows, 2]` (u32) has each row's position and cache row, no two
/// of them the same.
pub fn rope_store(
    rec: &mut Recording,
    table: &View,
    places: &View,
    (k, v): (&Tensor, &Tensor),
    q: &Tensor,
    cache: (&Tensor, &Tensor),
    s: RopeHeads,
) -> Result<(), DeviceError> {
    let (rows, kv_cols) = (q.rows, s.kv_heads * s.head_dim);
    let pairs = rows * (s.heads + 2 * s.kv_heads) * s.head_dim / 2;
    Checks::new(&ROPE_STORE)
        .that(s.head_dim.is_multiple_of(2) && pairs > 0, "no pairs")
        .shape("q", q, rows, s.heads * s.head_dim)
        .shape("k", k, rows, kv_cols)
        .shape("v", v, rows, kv_cols)
        .shape("the keys' cache", cache.0, cache.0.rows, kv_cols)
        .shape("the values' cache", cache.1, cache.0.rows, kv_cols)
        .words("places", places, 2 * rows)
        .done()?;
    let params = Params {
        rows: rows as u32,
        heads: s.heads as u32,
        kv_heads: s.kv_heads as u32,
        half: (s.head_dim / 2) as u32,
        interleaved: u32::from(s.interleaved),
        pad: [0; 3],
    };
    let shape = Shape {
        overrides: &[("WG", WG)],
        groups: groups(pairs.div_ceil(WG as usize)),
        flops: 6 * pairs as u64,
        ..Shape::default()
    };
    let views = [table, places, &k.view, &v.view, &q.view, &cache.0.view, &cache.1.view];
    rec.dispatch(&ROPE_STORE, &params, &views.map(View::clone), &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (half, interleaved) = (p.half as usize, p.interleaved != 0);
    let (q_cols, kv_cols) = (p.heads as usize * 2 * half, p.kv_heads as usize * 2 * half);
    let (table, places) = (call.input::<[f32; 2]>(0), call.input::<[u32; 2]>(1));
    let (k, v) = (call.input::<f32>(2), call.input::<f32>(3));
    let q = call.output::<f32>(4);
    let (k_cache, v_cache) = (call.output::<f32>(5), call.output::<f32>(6));
    let places = &places[..p.rows as usize];
    let turn = |position: u32, heads: &mut [f32]| {
        let turns = &table[position as usize * half..][..half];
        heads.chunks_mut(2 * half).for_each(|head| turn_head(turns, 1.0, interleaved, head));
    };
    let step = (1usize << 14).div_ceil(q_cols);
    for_each_chunk_mut(&mut q[..places.len() * q_cols], step * q_cols, |i, q| {
        let rows = q.chunks_mut(q_cols).zip(&places[i * step..]);
        rows.for_each(|(q, &[position, _])| turn(position, q));
    });
    for (t, &[position, row]) in places.iter().enumerate() {
        let key = &mut k_cache[row as usize * kv_cols..][..kv_cols];
        key.copy_from_slice(&k[t * kv_cols..][..kv_cols]);
        turn(position, key);
        v_cache[row as usize * kv_cols..][..kv_cols].copy_from_slice(&v[t * kv_cols..][..kv_cols]);
    }
}
