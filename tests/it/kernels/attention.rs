//! Attention forward, over spans of every kind, for several head sizes and groupings.

use super::harness::{Case, Devices, Expect, Slot, check_all, floats, wide};
use super::reference::{self, Heads};
use crate::common::Random;
use apprentice::kernels::{self, AttentionShape};

/// Two packed sequences, a row that sees nothing, a span that ends before the cache does.
pub const PACKED: [u32; 12] = [0, 1, 0, 2, 2, 3, 2, 4, 3, 3, 1, 3];

/// Spans lo, hi as the kernel reads them.
pub fn without_holes(spans: &[u32]) -> Vec<u32> {
    spans.chunks_exact(2).flat_map(|span| [span[0], span[1], 0, 0]).collect()
}

/// A causal mask: row t of `rows` sees the keys up to its own place at the end of `keys`.
pub fn causal(rows: usize, keys: usize) -> Vec<u32> {
    (0..rows).flat_map(|t| [0, (keys - rows + t + 1) as u32, 0, 0]).collect()
}

pub fn attention_case(name: &str, s: Heads, keys: usize, spans: &[u32]) -> Case {
    let rows = spans.len() / 4;
    let mut random = Random((rows + keys * 10 + s.hd) as u64);
    let scale = |x: Vec<f32>| -> Vec<f32> { x.iter().map(|x| x * 2.0).collect() };
    let q = scale(floats(&mut random, rows * s.heads * s.hd));
    let k = scale(floats(&mut random, keys * s.kv_heads * s.hd));
    let v = floats(&mut random, keys * s.kv_heads * s.hd);
    let (o, lses) = reference::attention(&wide(&q), &wide(&k), &wide(&v), spans, s);
    let stats = lses.iter().flat_map(|lse| [*lse, 0.0]).collect();
    let (q_cols, k_cols) = (s.heads * s.hd, s.kv_heads * s.hd);
    let slots = vec![
        Slot::input("q", rows, q_cols, &q),
        Slot::input("k", keys, k_cols, &k),
        Slot::input("v", keys, k_cols, &v),
        Slot::words("spans", spans),
        Slot::output("o", rows, q_cols, Expect::Floats(o)),
        Slot::output("stats", rows, 2 * s.heads, Expect::Floats(stats)),
    ];
    let shape = AttentionShape { heads: s.heads, kv_heads: s.kv_heads, head_dim: s.hd };
    let name = format!("attention {name} {shape:?} {rows} x {keys}");
    Case::new(name, slots, move |rec, b| {
        let t = &b.t;
        kernels::attention(rec, &t[0], &t[1], &t[2], &t[3].view, None, &t[4], &t[5], shape)
    })
    .tolerance(3e-6, 1e-5)
}

const SMOL: Heads = Heads { heads: 9, kv_heads: 3, hd: 64 };

#[test]
fn attention_agrees() {
    let mut cases = Vec::new();
    for keys in [1, 63, 64, 65, 150] {
        cases.push(attention_case("decode", SMOL, keys, &causal(1, keys)));
    }
    cases.push(attention_case("causal", SMOL, 20, &causal(20, 20)));
    for (heads, kv_heads, hd) in [(1, 1, 4), (2, 1, 12), (4, 2, 32), (2, 2, 68), (3, 1, 128)] {
        let s = Heads { heads, kv_heads, hd };
        cases.push(attention_case("shape", s, 70, &causal(7, 70)));
    }
    let small = Heads { heads: 4, kv_heads: 2, hd: 8 };
    cases.push(attention_case("packed", small, 6, &without_holes(&PACKED)));
    // Branches of one prompt: they share its two keys and skip each other's; few rows, then a block of them.
    let branches = [0, 2, 0, 0, 0, 3, 2, 2, 0, 4, 2, 3, 0, 6, 2, 4];
    cases.push(attention_case("branches", small, 6, &branches));
    let wide: Vec<u32> = (0..10).flat_map(|t| [1, 70 + t, 5 + t, 69 + t]).collect();
    cases.push(attention_case("branches", SMOL, 80, &wide));
    // Texts side by side: more rows than a few, each with keys of its own, which the CPU does not take as a block.
    let apart: Vec<u32> =
        (0..12).flat_map(|t| [8 * t, 8 * t + 1 + t % 8, 8 * t + 2, 8 * t + 3]).collect();
    cases.push(attention_case("apart", SMOL, 96, &apart));
    // A row in the middle of a block that sees nothing, and one whose hole is all that it would see.
    let mut blind = causal(40, 40);
    blind[4 * 5..][..4].copy_from_slice(&[9, 9, 0, 0]);
    blind[4 * 37..][..4].copy_from_slice(&[2, 6, 2, 6]);
    cases.push(attention_case("blind", SMOL, 40, &blind));
    check_all(&Devices::open(), cases);
}
