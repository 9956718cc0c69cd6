//! Rotations, against the definition in f64: in place and inverted, and on the way into a cache's rows, where rows that
//! nobody names must stay.

use super::harness::{Case, Devices, Expect, Slot, check_all, floats, wide};
use crate::common::Random;
use apprentice::kernels::{self, RopeHeads, RopeShape};

const CONTEXT: usize = 50;

fn angle(position: usize, i: usize, half: usize) -> f64 {
    position as f64 * 1e4f64.powf(-(i as f64) / half as f64)
}

/// cos and sin, `[CONTEXT, half, 2]`.
pub fn table(half: usize) -> Vec<f32> {
    let turns = (0..CONTEXT * half).flat_map(|at| {
        let angle = angle(at / half, at % half, half);
        [angle.cos() as f32, angle.sin() as f32]
    });
    turns.collect()
}

/// Turns the heads of one row by the definition.
pub fn turn(row: &mut [f64], position: usize, head_dim: usize, interleaved: bool, sign: f64) {
    let half = head_dim / 2;
    for head in row.chunks_mut(head_dim) {
        for i in 0..half {
            let (a, b) = if interleaved { (2 * i, 2 * i + 1) } else { (i, i + half) };
            let (u, v) = (head[a], head[b]);
            let angle = angle(position, i, half) * sign;
            head[a] = u * angle.cos() - v * angle.sin();
            head[b] = u * angle.sin() + v * angle.cos();
        }
    }
}

pub fn rope_case(shape: RopeShape) -> Case {
    let mut random = Random(shape.head_dim as u64);
    let table = table(shape.head_dim / 2);
    let places: Vec<[u32; 2]> =
        (0..shape.rows).map(|t| [((t * 7 + 49) % CONTEXT) as u32, u32::MAX]).collect();
    let (x_rows, cols) = (shape.rows + 1, shape.heads * shape.head_dim);
    let x = floats(&mut random, x_rows * cols);
    let mut expected = wide(&x);
    let sign = if shape.inverse { -1.0 } else { 1.0 };
    for (row, [position, _]) in expected.chunks_mut(cols).zip(&places) {
        turn(row, *position as usize, shape.head_dim, shape.interleaved, sign);
    }
    let slots = vec![
        Slot::input("table", 1, table.len(), &table),
        Slot::words("places", places.as_flattened()),
        Slot::inout("x", x_rows, cols, &x, Expect::Floats(expected)),
    ];
    Case::new(format!("{shape:?}"), slots, move |rec, b| {
        kernels::rope(rec, &b.t[0].view, &b.t[1].view, &b.t[2], shape)
    })
    .tolerance(1e-6, 1e-6)
}

/// Rows go to every third row of the caches, in another order; the other rows stay.
pub fn rope_store_case(rows: usize, shape: RopeHeads) -> Case {
    let mut random = Random((rows + shape.head_dim) as u64);
    let table = table(shape.head_dim / 2);
    let places: Vec<u32> = (0..rows)
        .flat_map(|t| [((t * 7 + 49) % CONTEXT) as u32, 3 * ((t * 11 + 2) % rows) as u32])
        .collect();
    let (q_cols, kv_cols) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
    let q = floats(&mut random, rows * q_cols);
    let [k, v] = [0; 2].map(|_| floats(&mut random, rows * kv_cols));
    let caches = [0; 2].map(|_| floats(&mut random, 3 * rows * kv_cols));
    let mut turned = wide(&q);
    let [mut keys, mut values] = caches.each_ref().map(|cache| wide(cache));
    for (t, place) in places.chunks(2).enumerate() {
        let (position, row) = (place[0] as usize, place[1] as usize);
        let turn = |row: &mut [f64]| turn(row, position, shape.head_dim, shape.interleaved, 1.0);
        turn(&mut turned[t * q_cols..][..q_cols]);
        let key = &mut keys[row * kv_cols..][..kv_cols];
        key.copy_from_slice(&wide(&k[t * kv_cols..][..kv_cols]));
        turn(key);
        values[row * kv_cols..][..kv_cols].copy_from_slice(&wide(&v[t * kv_cols..][..kv_cols]));
    }
    let slots = vec![
        Slot::input("table", 1, table.len(), &table),
        Slot::words("places", &places),
        Slot::input("k", rows, kv_cols, &k),
        Slot::input("v", rows, kv_cols, &v),
        Slot::inout("q", rows, q_cols, &q, Expect::Floats(turned)),
        Slot::inout("k_cache", 3 * rows, kv_cols, &caches[0], Expect::Floats(keys)),
        Slot::inout("v_cache", 3 * rows, kv_cols, &caches[1], Expect::Floats(values)),
    ];
    Case::new(format!("rope_store {rows} {shape:?}"), slots, move |rec, b| {
        let [table, places, k, v, q, keys, values] = &b.t[..] else { panic!("seven slots") };
        kernels::rope_store(rec, &table.view, &places.view, (k, v), q, (keys, values), shape)
    })
    .tolerance(1e-6, 1e-6)
}

#[test]
fn rotations_agree() {
    let shape = RopeShape { rows: 1, heads: 1, head_dim: 2, interleaved: false, inverse: false };
    let mut cases = vec![rope_case(shape)];
    for (interleaved, inverse) in [(false, false), (false, true), (true, false), (true, true)] {
        cases.push(rope_case(RopeShape { rows: 5, heads: 9, head_dim: 64, interleaved, inverse }));
        cases.push(rope_case(RopeShape { rows: 3, heads: 3, head_dim: 10, interleaved, inverse }));
    }
    check_all(&Devices::open(), cases);
}

#[test]
fn rotations_into_a_cache_agree() {
    let one = RopeHeads { heads: 1, kv_heads: 1, head_dim: 2, interleaved: true };
    let mut cases = vec![rope_store_case(1, one)];
    for interleaved in [false, true] {
        let real = RopeHeads { heads: 9, kv_heads: 3, head_dim: 64, interleaved };
        // 11 does not divide these, so the order is a permutation.
        cases.extend([1, 5, 17].map(|rows| rope_store_case(rows, real)));
        cases.push(rope_store_case(3, RopeHeads { heads: 4, kv_heads: 2, head_dim: 10, ..real }));
    }
    check_all(&Devices::open(), cases);
}
