//! Attention forward, over spans of every kind, for several head sizes and groupings.

use super::harness::{Case, Devices, Expect, Slot, check_all, floats, wide};
use super::reference::{self, Heads};
use crate::common::Random;
use apprentice::kernels::{self, AttentionShape};

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
        kernels::attention(rec, &t[0], &t[1], &t[2], &t[3].view, &t[4], &t[5], shape)
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
    let few = Heads { heads: 4, kv_heads: 2, hd: 8 };
    // Two packed sequences, a row that sees nothing, a span that ends before the cache does.
    let packed = [[0, 1], [0, 2], [2, 3], [2, 4], [3, 3], [1, 3]];
    let packed: Vec<u32> = packed.iter().flat_map(|&[lo, hi]| [lo, hi, 0, 0]).collect();
    cases.push(attention_case("packed", few, 6, &packed));
    // Branches behind a shared prompt of 3 keys: holes in the middle, at an end, around all that a row sees.
    let branches = [[0, 5, 0, 0], [0, 7, 3, 5], [0, 9, 3, 9], [0, 9, 0, 2], [2, 4, 1, 9]];
    cases.push(attention_case("branches", few, 9, branches.as_flattened()));
    let many: Vec<u32> = (0..40).flat_map(|t| [0, 100 + t, 20, 20 + 2 * t]).collect();
    cases.push(attention_case("branches", few, 140, &many));
    check_all(&Devices::open(), cases);
}
