//! What works on rows and elements: add, add_bias, swiglu, rms_norm, rope, scatter_rows, around the size of a workgroup.

use super::harness::{Case, Devices, Expect, Slot, check_all, floats, wide};
use super::reference;
use crate::common::Random;
use apprentice::kernels::{self, RopeShape};

/// Sizes around a workgroup of 256 lanes.
const SIZES: [usize; 6] = [1, 31, 255, 256, 257, 1536];

pub fn add_case(n: usize) -> Case {
    let mut random = Random(n as u64);
    let (a, b) = (floats(&mut random, 3 * n), floats(&mut random, 3 * n));
    let expected = a.iter().zip(&b).map(|(a, b)| f64::from(a + b)).collect();
    let slots = vec![
        Slot::input("a", 3, n, &a),
        Slot::input("b", 3, n, &b),
        Slot::output("y", 3, n, Expect::Floats(expected)),
    ];
    Case::new(format!("add {n}"), slots, |rec, b| kernels::add(rec, &b.t[0], &b.t[1], &b.t[2]))
        .tolerance(1e-38, 1e-7)
}

/// Rows `row..row + 3` of six; the others stay.
pub fn bias_case(d: usize, row: usize) -> Case {
    let mut random = Random((d + row) as u64);
    let (b, y) = (floats(&mut random, d), floats(&mut random, 6 * d));
    let biased = |(i, y): (usize, &f32)| match i / d >= row && i / d < row + 3 {
        true => f64::from(y + b[i % d]),
        false => f64::from(*y),
    };
    let expected = y.iter().enumerate().map(biased).collect();
    let slots =
        vec![Slot::input("b", 1, d, &b), Slot::inout("y", 6, d, &y, Expect::Floats(expected))];
    Case::new(format!("add_bias {d} at {row}"), slots, move |rec, bound| {
        kernels::add_bias(rec, &bound.t[0].view, &bound.t[1], row, 3)
    })
    .tolerance(1e-38, 1e-7)
}

pub fn swiglu_case(n: usize) -> Case {
    let mut random = Random(n as u64);
    // Far out on both sides, where exp overflows and where it vanishes.
    let mut a: Vec<f32> = floats(&mut random, 2 * n).iter().map(|x| x * 8.0).collect();
    a[0] = -200.0;
    a[n] = 100.0;
    let b = floats(&mut random, 2 * n);
    let slots = vec![
        Slot::input("a", 2, n, &a),
        Slot::input("b", 2, n, &b),
        Slot::output("h", 2, n, Expect::Floats(reference::swiglu(&wide(&a), &wide(&b)))),
    ];
    Case::new(format!("swiglu {n}"), slots, |rec, b| {
        kernels::swiglu(rec, &b.t[0], &b.t[1], &b.t[2])
    })
    .tolerance(1e-6, 2e-6)
}

/// Norms `rows` rows to row `row` of y on; the other rows of y stay.
pub fn norm_case(rows: usize, d: usize, row: usize) -> Case {
    let mut random = Random((rows + d) as u64);
    let (x, g) = (floats(&mut random, rows * d), floats(&mut random, d));
    let eps = 1e-5;
    let y = floats(&mut random, (row + rows + 1) * d);
    let mut expected = wide(&y);
    let normed = reference::rms_norm(&wide(&x), &wide(&g), f64::from(eps));
    expected[row * d..][..rows * d].copy_from_slice(&normed);
    let slots = vec![
        Slot::input("x", rows, d, &x),
        Slot::input("g", 1, d, &g),
        Slot::inout("y", row + rows + 1, d, &y, Expect::Floats(expected)),
    ];
    Case::new(format!("rms_norm {rows} x {d} at {row}"), slots, move |rec, b| {
        kernels::rms_norm(rec, &b.t[0], &b.t[1].view, eps, &b.t[2], row)
    })
    .tolerance(2e-6, 5e-6)
}

pub fn rope_case(shape: RopeShape) -> Case {
    let mut random = Random(shape.head_dim as u64);
    let half = shape.head_dim / 2;
    let angle =
        |position: usize, i: usize| position as f64 * 1e4f64.powf(-(i as f64) / half as f64);
    let context = 50;
    let table: Vec<f32> = (0..context * half)
        .flat_map(|at| {
            let angle = angle(at / half, at % half);
            [angle.cos() as f32, angle.sin() as f32]
        })
        .collect();
    let positions: Vec<u32> = (0..shape.rows).map(|t| ((t * 7 + 49) % context) as u32).collect();
    let (x_rows, cols) = (shape.row + shape.rows + 1, shape.heads * shape.head_dim);
    let x = floats(&mut random, x_rows * cols);
    let mut expected = wide(&x);
    for (t, position) in positions.iter().enumerate() {
        for pair in 0..shape.heads * half {
            let (head, i) = (pair / half, pair % half);
            let (a, b) = if shape.interleaved { (2 * i, 2 * i + 1) } else { (i, i + half) };
            let start = (shape.row + t) * cols + head * shape.head_dim;
            let (u, v) = (expected[start + a], expected[start + b]);
            let angle = angle(*position as usize, i) * if shape.inverse { -1.0 } else { 1.0 };
            expected[start + a] = u * angle.cos() - v * angle.sin();
            expected[start + b] = u * angle.sin() + v * angle.cos();
        }
    }
    let slots = vec![
        Slot::input("table", 1, table.len(), &table),
        Slot::words("positions", &positions),
        Slot::inout("x", x_rows, cols, &x, Expect::Floats(expected)),
    ];
    Case::new(format!("{shape:?}"), slots, move |rec, b| {
        kernels::rope(rec, &b.t[0].view, &b.t[1].view, &b.t[2], shape)
    })
    .tolerance(1e-6, 1e-6)
}

#[test]
fn elements_agree() {
    let mut cases: Vec<Case> = SIZES.into_iter().map(add_case).collect();
    cases.extend(SIZES.into_iter().zip([0, 1, 2, 3, 0, 1]).map(|(d, row)| bias_case(d, row)));
    cases.extend(SIZES.into_iter().map(swiglu_case));
    check_all(&Devices::open(), cases);
}

#[test]
fn a_grid_longer_than_a_dimension_is_folded() {
    // 65 536 workgroups of 256 lanes and one more element.
    let n: usize = 65_536 * 256 + 1;
    let a: Vec<f32> = (0..n).map(|i| (i % 251) as f32).collect();
    let expected = a.iter().map(|a| f64::from(a + a)).collect();
    let slots = vec![
        Slot::input("a", 1, n, &a),
        Slot::input("b", 1, n, &a),
        Slot::output("y", 1, n, Expect::Floats(expected)),
    ];
    let case = Case::new("add folded".into(), slots, |rec, b| {
        kernels::add(rec, &b.t[0], &b.t[1], &b.t[2])
    });
    check_all(&Devices::open(), vec![case]);
}

#[test]
fn norms_agree() {
    let mut cases: Vec<Case> = SIZES.into_iter().map(|d| norm_case(3, d, 0)).collect();
    cases.push(norm_case(1, 576, 2));
    cases.push(norm_case(70, 33, 0));
    // Heads as rows: fewer lanes than a token's row has.
    cases.extend(
        [(12, 64, 8), (20, 128, 4), (5, 96, 1)].map(|(rows, d, row)| norm_case(rows, d, row)),
    );
    check_all(&Devices::open(), cases);
}

#[test]
fn rotations_agree() {
    let shape =
        RopeShape { rows: 1, row: 0, heads: 1, head_dim: 2, interleaved: false, inverse: false };
    let mut cases = vec![rope_case(shape)];
    for (interleaved, inverse) in [(false, false), (false, true), (true, false), (true, true)] {
        cases.push(rope_case(RopeShape {
            rows: 5,
            heads: 9,
            head_dim: 64,
            interleaved,
            inverse,
            ..shape
        }));
        cases.push(rope_case(RopeShape {
            rows: 3,
            row: 2,
            heads: 3,
            head_dim: 10,
            interleaved,
            inverse,
        }));
    }
    check_all(&Devices::open(), cases);
}

/// Every second row of y gets a row of x, in another order; the others stay.
pub fn scatter_case(n: usize, cols: usize) -> Case {
    let mut random = Random((n + cols) as u64);
    let rows: Vec<u32> = (0..n).map(|i| 2 * ((i * 7 + 3) % n) as u32).collect();
    let (x, y) = (floats(&mut random, n * cols), floats(&mut random, 2 * n * cols));
    let mut expected = wide(&y);
    for (i, row) in rows.iter().enumerate() {
        expected[*row as usize * cols..][..cols].copy_from_slice(&wide(&x[i * cols..][..cols]));
    }
    let slots = vec![
        Slot::input("x", n, cols, &x),
        Slot::words("rows", &rows),
        Slot::inout("y", 2 * n, cols, &y, Expect::Floats(expected)),
    ];
    Case::new(format!("scatter_rows {n} x {cols}"), slots, |rec, b| {
        kernels::scatter_rows(rec, &b.t[0], &b.t[1].view, &b.t[2])
    })
    .tolerance(0.0, 0.0)
}

#[test]
fn scatter_rows_agrees() {
    // 7 does not divide these, so the order is a permutation.
    let cases = [(1, 4), (5, 4), (65, 12), (128, 576)].map(|(n, cols)| scatter_case(n, cols));
    check_all(&Devices::open(), cases.into());
}
