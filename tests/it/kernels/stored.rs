//! What is between the products of one row and its attention, for every family and method: store_qkv.
//!
//! The factors are those of `beside`; RoPE's reference is `rope`'s.

use super::beside::{Copy, add, multiply};
use super::harness::{Case, Devices, Expect, Slot, check_all, floats, wide};
use super::{reference, rope};
use crate::common::Random;
use apprentice::kernels::{self, Extras, Factors, OutputFactors, RopeHeads};

const EPS: f32 = 1e-5;

/// What a family has beside its matrices.
#[derive(Clone, Copy, Default, Debug)]
pub struct Family {
    pub biases: bool,
    pub norms: bool,
    pub rank: usize,
    /// Are outputs multiplied, and if so, the biases with them?
    pub multiplied: Option<bool>,
}

/// A sum with its factors and its bias, in the family's order.
fn finish(row: &mut [f64], factors: &[f64], bias: &[f64], family: Family) {
    if family.multiplied == Some(false) {
        multiply(row, factors);
    }
    if family.biases {
        add(row, bias);
    }
    if family.multiplied == Some(true) {
        multiply(row, factors);
    }
}

/// One row's q, k and v on their way into q and row 2 of the caches.
pub fn store_case(s: RopeHeads, family: Family) -> Case {
    const PLACE: [u32; 2] = [17, 2];
    let rank = family.rank;
    let mut random = Random((s.heads + s.head_dim + rank) as u64);
    let (q_cols, kv_cols) = (s.heads * s.head_dim, s.kv_heads * s.head_dim);
    let sizes = [q_cols, kv_cols, kv_cols];
    let y = floats(&mut random, q_cols + 2 * kv_cols + 3 * rank);
    let extras = floats(&mut random, 3 + q_cols + 2 * kv_cols + 2 * s.head_dim);
    let bias_at = [3, 3 + q_cols, 3 + q_cols + kv_cols];
    let gain_at = [3 + q_cols + 2 * kv_cols, 3 + q_cols + 2 * kv_cols + s.head_dim];
    let caches = [0; 2].map(|_| floats(&mut random, 4 * kv_cols));
    let mut copy = Copy::new(rank);
    let [mut at, mut outputs] = [[0; 3]; 2];
    let (wide_y, wide_extras) = (wide(&y), wide(&extras));
    let mut start = 0;
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for (m, n) in sizes.into_iter().enumerate() {
        let mut row = wide_y[start..][..n].to_vec();
        start += n;
        let (b_at, b) = copy.b(n, &mut random);
        at[m] = b_at;
        if rank > 0 {
            let u = &wide_y[q_cols + 2 * kv_cols + m * rank..][..rank];
            add(&mut row, &reference::linear(u, &b, rank));
        }
        let (outputs_at, factors) = copy.outputs(n, &mut random);
        outputs[m] = outputs_at;
        finish(&mut row, &factors, &wide_extras[bias_at[m]..][..n], family);
        if family.norms && m < 2 {
            let gain = &wide_extras[gain_at[m]..][..s.head_dim];
            row = reference::rms_norm(&row, gain, f64::from(EPS));
        }
        if m < 2 {
            rope::turn(&mut row, PLACE[0] as usize, s.head_dim, s.interleaved, 1.0);
        }
        rows.push(row);
    }
    let mut goals = caches.each_ref().map(|cache| wide(cache));
    for (goal, row) in goals.iter_mut().zip(&rows[1..]) {
        goal[2 * kv_cols..][..kv_cols].copy_from_slice(row);
    }
    let [keys, values] = goals;
    let table = rope::table(s.head_dim / 2);
    let slots = vec![
        Slot::input("table", 1, table.len(), &table),
        Slot::words("places", &PLACE),
        Slot::input("y", 1, y.len(), &y),
        Slot::input("extras", 1, extras.len(), &extras),
        copy.slot(),
        Slot::output("q", 1, q_cols, Expect::Floats(rows.swap_remove(0))),
        Slot::inout("k_cache", 4, kv_cols, &caches[0], Expect::Floats(keys)),
        Slot::inout("v_cache", 4, kv_cols, &caches[1], Expect::Floats(values)),
    ];
    Case::new(format!("store_qkv {s:?} {family:?}"), slots, move |rec, b| {
        let [table, places, y, extras, halves, q, keys, values] = &b.t[..] else {
            panic!("as above")
        };
        let extras = (family.biases || family.norms).then_some(Extras {
            values: &extras.view,
            biases: family.biases.then_some(bias_at),
            gains: family.norms.then_some((gain_at, EPS)),
        });
        let outputs = family.multiplied.map(|biased| OutputFactors { at: outputs, biased });
        let halves = &halves.view;
        let b = (rank > 0 || outputs.is_some()).then_some(Factors { halves, rank, at, outputs });
        let (table, places, y) = (&table.view, &places.view, &y.view);
        kernels::store_qkv(rec, table, places, y, extras, b, q, (keys, values), s)
    })
}

#[test]
fn a_row_goes_to_its_attention() {
    let mut cases = Vec::new();
    for interleaved in [false, true] {
        let smol = RopeHeads { heads: 9, kv_heads: 3, head_dim: 64, interleaved };
        let wide = RopeHeads { heads: 4, kv_heads: 1, head_dim: 128, interleaved };
        let small = RopeHeads { heads: 2, kv_heads: 1, head_dim: 4, interleaved };
        for s in [smol, wide, small] {
            cases.push(store_case(s, Family::default()));
            cases.push(store_case(s, Family { biases: true, ..Family::default() }));
            cases.push(store_case(s, Family { norms: true, rank: 4, ..Family::default() }));
            let all = Family { biases: true, norms: true, rank: 16, multiplied: None };
            cases.push(store_case(s, all));
            for multiplied in [Some(false), Some(true)] {
                cases.push(store_case(s, Family { multiplied, ..all }));
                cases.push(store_case(s, Family { multiplied, rank: 0, ..all }));
            }
        }
    }
    check_all(&Devices::open(), cases);
}
