//! What works on rows and elements: add, add_bias, swiglu, rms_norm, scatter_rows, around the size of a workgroup.

use super::harness::{Case, Devices, Expect, Slot, check_all, floats, wide};
use super::reference;
use crate::common::Random;
use apprentice::kernels;

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

pub fn bias_case(d: usize) -> Case {
    let mut random = Random(d as u64);
    let (b, y) = (floats(&mut random, d), floats(&mut random, 3 * d));
    let expected = y.iter().enumerate().map(|(i, y)| f64::from(y + b[i % d])).collect();
    let slots =
        vec![Slot::input("b", 1, d, &b), Slot::inout("y", 3, d, &y, Expect::Floats(expected))];
    Case::new(format!("add_bias {d}"), slots, |rec, bound| {
        kernels::add_bias(rec, &bound.t[0].view, &bound.t[1])
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

pub fn norm_case(rows: usize, d: usize) -> Case {
    let mut random = Random((rows + d) as u64);
    let (x, g) = (floats(&mut random, rows * d), floats(&mut random, d));
    let eps = 1e-5;
    let expected = reference::rms_norm(&wide(&x), &wide(&g), f64::from(eps));
    let slots = vec![
        Slot::input("x", rows, d, &x),
        Slot::input("g", 1, d, &g),
        Slot::output("y", rows, d, Expect::Floats(expected)),
    ];
    Case::new(format!("rms_norm {rows} x {d}"), slots, move |rec, b| {
        kernels::rms_norm(rec, &b.t[0], &b.t[1].view, eps, &b.t[2])
    })
    .tolerance(2e-6, 5e-6)
}

#[test]
fn elements_agree() {
    let mut cases: Vec<Case> = SIZES.into_iter().map(add_case).collect();
    cases.extend(SIZES.into_iter().map(bias_case));
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
    let mut cases: Vec<Case> = SIZES.into_iter().map(|d| norm_case(3, d)).collect();
    cases.push(norm_case(1, 576));
    cases.push(norm_case(70, 33));
    // Heads as rows: fewer lanes than a token's row has.
    cases.extend([(12, 64), (20, 128), (5, 96)].map(|(rows, d)| norm_case(rows, d)));
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
