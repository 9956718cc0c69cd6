//! What protects earlier learning: sums of squares, the pulls of both penalties, their Gram matrices, gradient surgery.
//!
//! References are the formulas in f64. Sizes are around a workgroup, halves of an adapter in both orders.

use super::harness::{Case, Devices, Expect, Slot, check_all, floats, wide};
use crate::common::Random;
use apprentice::kernels::{self, Half};

pub fn squares_case(rows: usize, cols: usize) -> Case {
    let mut random = Random((rows * 1000 + cols) as u64);
    let (x, sums) = (floats(&mut random, rows * cols), floats(&mut random, cols));
    let scale = 0.75;
    let mut expected = wide(&sums);
    for row in wide(&x).chunks(cols) {
        expected.iter_mut().zip(row).for_each(|(sum, x)| *sum += scale * x * x);
    }
    let slots = vec![
        Slot::input("x", rows, cols, &x),
        Slot::inout("sums", 1, cols, &sums, Expect::Floats(expected)),
    ];
    Case::new(format!("square sums [{rows}, {cols}]"), slots, move |rec, b| {
        kernels::square_sums(rec, &b.t[0].view, [rows, cols], scale as f32, &b.t[1].view)
    })
}

pub fn anchor_case(n: usize) -> Case {
    let mut random = Random(n as u64 + 5);
    let [f, w, anchor, g] = [(); 4].map(|()| floats(&mut random, n));
    let scale = 1.5;
    let pull = |i: usize| scale * f64::from(f[i]) * (f64::from(w[i]) - f64::from(anchor[i]));
    let expected = (0..n).map(|i| f64::from(g[i]) + pull(i)).collect();
    let slots = vec![
        Slot::input("f", 1, n, &f),
        Slot::input("w", 1, n, &w),
        Slot::input("anchor", 1, n, &anchor),
        Slot::inout("g", 1, n, &g, Expect::Floats(expected)),
    ];
    Case::new(format!("anchor pull {n}"), slots, move |rec, b| {
        let [f, w, anchor, g] = [0, 1, 2, 3].map(|i| &b.t[i].view);
        kernels::anchor_pull(rec, [f, w, anchor], g, n, scale as f32)
    })
}

/// The products are given, as they are of longer vectors than these.
pub fn surgery_case(n: usize, product: f32, square: f32) -> Case {
    let mut random = Random(n as u64 + 9);
    let (h, g) = (floats(&mut random, n), floats(&mut random, n));
    let conflict = product < 0.0 && square > 0.0;
    let share = if conflict { 1.0 - f64::from(product) / f64::from(square) } else { 1.0 };
    let expected = wide(&g).iter().zip(wide(&h)).map(|(g, h)| g + share * h).collect();
    let slots = vec![
        Slot::input("h", 1, n, &h),
        Slot::input("product", 1, 1, &[product]),
        Slot::input("square", 1, 1, &[square]),
        Slot::inout("g", 1, n, &g, Expect::Floats(expected)),
    ];
    Case::new(format!("surgery {n} {product} {square}"), slots, move |rec, b| {
        let [h, product, square, g] = [0, 1, 2, 3].map(|i| &b.t[i].view);
        kernels::surgery(rec, h, product, square, g, n)
    })
}

/// Number j of vector l.
fn at(l: usize, j: usize, [rank, n]: [usize; 2], transposed: bool) -> usize {
    if transposed { j * rank + l } else { l * n + j }
}

fn shape([rank, n]: [usize; 2], transposed: bool) -> (usize, usize) {
    if transposed { (n, rank) } else { (rank, n) }
}

pub fn gram_case(dims: [usize; 2], transposed: bool) -> Case {
    let [rank, n] = dims;
    let mut random = Random((rank * 1000 + n) as u64);
    let w = floats(&mut random, n);
    let (x, y) = (floats(&mut random, rank * n), floats(&mut random, rank * n));
    let [ww, wx, wy] = [&w, &x, &y].map(|x| wide(x));
    let mut expected = Vec::new();
    for left in [&wx, &wy] {
        for l in 0..rank {
            expected.extend((0..rank).map(|k| -> f64 {
                let one = |i: usize, j: usize| at(i, j, dims, transposed);
                (0..n).map(|j| ww[j] * left[one(l, j)] * wx[one(k, j)]).sum()
            }));
        }
    }
    let (rows, cols) = shape(dims, transposed);
    let slots = vec![
        Slot::input("w", 1, n, &w),
        Slot::input("x", rows, cols, &x),
        Slot::input("y", rows, cols, &y),
        Slot::output("gram", 2 * rank, rank, Expect::Floats(expected)),
    ];
    Case::new(format!("gram {dims:?} {transposed}"), slots, move |rec, b| {
        let [w, x, y, gram] = [0, 1, 2, 3].map(|i| &b.t[i].view);
        kernels::weighted_gram(rec, [w, x, y], gram, dims, transposed)
    })
}

pub fn function_case(dims: [usize; 2], transposed: bool) -> Case {
    let [rank, n] = dims;
    let mut random = Random((rank * 2000 + n) as u64);
    let (w, gram) = (floats(&mut random, n), floats(&mut random, 2 * rank * rank));
    let [x, y, grad] = [(); 3].map(|()| floats(&mut random, rank * n));
    let [ww, wx, wy, wgram] = [&w, &x, &y, &gram].map(|x| wide(x));
    let scale = 0.5;
    let mut expected = wide(&grad);
    for k in 0..rank {
        for j in 0..n {
            let term = |l: usize| {
                let i = at(l, j, dims, transposed);
                wx[i] * wgram[l * rank + k] - wy[i] * wgram[(rank + l) * rank + k]
            };
            let sum: f64 = (0..rank).map(term).sum();
            expected[at(k, j, dims, transposed)] += scale * ww[j] * sum;
        }
    }
    let (rows, cols) = shape(dims, transposed);
    let slots = vec![
        Slot::input("w", 1, n, &w),
        Slot::input("x", rows, cols, &x),
        Slot::input("y", rows, cols, &y),
        Slot::input("gram", 2 * rank, rank, &gram),
        Slot::inout("grad", rows, cols, &grad, Expect::Floats(expected)),
    ];
    Case::new(format!("function pull {dims:?} {transposed}"), slots, move |rec, b| {
        let [w, x, y, gram, grad] = [0, 1, 2, 3, 4].map(|i| &b.t[i].view);
        let half = Half { w, x, y, gram, dims, transposed };
        kernels::function_pull(rec, &half, grad, scale as f32)
    })
}

#[test]
fn flat_kernels_agree() {
    let sizes = [1, 255, 257, 5000];
    let mut cases: Vec<Case> = sizes.into_iter().map(anchor_case).collect();
    cases.extend(sizes.into_iter().flat_map(|n| {
        [(-3.0, 2.0), (3.0, 2.0), (-1.0, 0.0)]
            .map(|(product, square)| surgery_case(n, product, square))
    }));
    cases.extend(
        [(1, 257), (1, 40_000), (7, 255), (64, 20)].map(|(rows, cols)| squares_case(rows, cols)),
    );
    check_all(&Devices::open(), cases);
}

#[test]
fn function_space_kernels_agree() {
    let dims = [[1, 1], [4, 65], [8, 576], [3, 300], [16, 48]];
    let orders = dims.into_iter().flat_map(|dims| [(dims, false), (dims, true)]);
    let both = |(dims, transposed)| [gram_case(dims, transposed), function_case(dims, transposed)];
    check_all(&Devices::open(), orders.flat_map(both).collect());
}
