//! What is between the products of one row and its attention, in one dispatch: the adapter's share, biases, the norms of
//! heads, and RoPE on the way into q and the cache (Su et al. 2021).
//!
//! Many rows do the same by [`super::lora_b`], [`super::scale_columns`], [`super::add_bias`], [`super::rms_norm`] and
//! [`super::rope_store`].

use super::factors::{self, Factors, add_b, spread};
use super::launch::{Checks, params};
use super::rms_norm::norm_row;
use super::rope::turn_head;
use super::rope_store::RopeHeads;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::Tensor;

params! {
    heads: u32,
    kv_heads: u32,
    half: u32,
    interleaved: u32,
    rank: u32,
    eps: f32,
    pad: [u32; 2],
    b_at: [u32; 4],
    bias_at: [u32; 4],
    gain_at: [u32; 4],
    outputs: [u32; 4],
}

/// The kernel of [`store_qkv`].
pub static STORE_QKV: KernelDef = KernelDef {
    name: "store_qkv",
    wgsl: include_str!("../../shaders/store_qkv.wgsl"),
    bindings: &[
        Access::Read,
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

/// Lanes of a workgroup, and most pairs of a head.
const LANES: usize = 64;

/// What a family's attention has beside its matrices, in one buffer.
#[derive(Clone, Copy)]
pub struct Extras<'a> {
    /// The buffer.
    pub values: &'a View,
    /// Where the biases of q, k and v start, in elements.
    pub biases: Option<[usize; 3]>,
    /// Where the gains of the norms of q's and k's heads start, and the norms' epsilon.
    pub gains: Option<([usize; 2], f32)>,
}

/// From y, one row of q `[H hd]`, k and v `[KV hd]` each and, with an adapter's `b`, u `[rank]` of each: q `[1, H hd]`,
/// turned, and k, turned, and v in the row of `cache` `[.., KV hd]` that `places` says.
///
/// table is `[context, hd / 2, 2]` (cosine, sine); places `[1, 2]` (u32) has the position and the cache row.
#[expect(clippy::too_many_arguments, reason = "the kernel's bindings in order")]
pub fn store_qkv(
    rec: &mut Recording,
    table: &View,
    places: &View,
    y: &View,
    extras: Option<Extras<'_>>,
    b: Option<Factors<'_>>,
    q: &Tensor,
    cache: (&Tensor, &Tensor),
    s: RopeHeads,
) -> Result<(), DeviceError> {
    let (q_cols, kv_cols) = (s.heads * s.head_dim, s.kv_heads * s.head_dim);
    let rank = factors::rank(b);
    Checks::new(&STORE_QKV)
        .that(s.head_dim.is_multiple_of(4), "head_dim is no multiple of 4")
        .that((1..=2 * LANES).contains(&s.head_dim), "more pairs in a head than lanes")
        .shape("q", q, 1, q_cols)
        .shape("the keys' cache", cache.0, cache.0.rows, kv_cols)
        .shape("the values' cache", cache.1, cache.0.rows, kv_cols)
        .words("y", y, q_cols + 2 * kv_cols + 3 * rank)
        .words("places", places, 2)
        .done()?;
    let biases = extras.and_then(|extras| extras.biases);
    let gains = extras.and_then(|extras| extras.gains);
    let [b_q, b_k, b_v] = factors::starts(b);
    let ([gain_q, gain_k], eps) = gains.unwrap_or(([0; 2], 0.0));
    let [bias_q, bias_k, bias_v] = biases.unwrap_or([0; 3]).map(|at| at as u32);
    let params = Params {
        heads: s.heads as u32,
        kv_heads: s.kv_heads as u32,
        half: (s.head_dim / 2) as u32,
        interleaved: u32::from(s.interleaved),
        rank: rank as u32,
        eps,
        pad: [0; 2],
        b_at: [b_q, b_k, b_v, 0],
        bias_at: [bias_q, bias_k, bias_v, u32::from(biases.is_some())],
        gain_at: [gain_q as u32, gain_k as u32, 0, u32::from(gains.is_some())],
        outputs: factors::output_params(b),
    };
    let shape = Shape {
        overrides: &[("WG", LANES as u32)],
        groups: [(s.heads + 2 * s.kv_heads) as u32, 1, 1],
        flops: (2 * (q_cols + 2 * kv_cols) * (rank + 4)) as u64,
        ..Shape::default()
    };
    let extras = extras.map_or(y, |extras| extras.values);
    let lora = factors::view(b, y);
    let views = [table, places, y, extras, lora, &q.view, &cache.0.view, &cache.1.view];
    rec.dispatch(&STORE_QKV, &params, &views.map(View::clone), &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (half, rank) = (p.half as usize, p.rank as usize);
    let width = 2 * half;
    let [position, row] = call.input::<[u32; 2]>(1)[0].map(|place| place as usize);
    let turns = &call.input::<[f32; 2]>(0)[position * half..][..half];
    let (mut y, extras) = (call.input::<f32>(2), call.input::<f32>(3));
    let lora = call.input::<u16>(4);
    let (q_cols, kv_cols) = (p.heads as usize * width, p.kv_heads as usize * width);
    let us = &y[q_cols + 2 * kv_cols..];
    let goals = [
        &mut call.output::<f32>(5)[..q_cols],
        &mut call.output::<f32>(6)[row * kv_cols..][..kv_cols],
        &mut call.output::<f32>(7)[row * kv_cols..][..kv_cols],
    ];
    for (m, goal) in goals.into_iter().enumerate() {
        let (values, rest) = y.split_at(goal.len());
        y = rest;
        goal.copy_from_slice(values);
        if rank > 0 {
            add_b(&lora[4 * p.b_at[m] as usize..], &spread(&us[m * rank..][..rank]), goal);
        }
        let outputs = factors::outputs_of(call.input(4), p.outputs, m);
        let biased = p.outputs[3] == 2;
        factors::multiply(outputs.filter(|_| !biased), goal);
        if p.bias_at[3] != 0 {
            let biases = &extras[p.bias_at[m] as usize..];
            goal.iter_mut().zip(biases).for_each(|(goal, bias)| *goal += bias);
        }
        factors::multiply(outputs.filter(|_| biased), goal);
        if m == 2 {
            continue;
        }
        for head in goal.chunks_mut(width) {
            if p.gain_at[3] != 0 {
                let gain = &extras[p.gain_at[m] as usize..][..width];
                let before = head.to_vec();
                norm_row(&before, gain, p.eps, head);
            }
            turn_head(turns, 1.0, p.interleaved != 0, head);
        }
    }
}
