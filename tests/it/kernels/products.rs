//! The products with frozen weights: matvec, matmul, matmul_dx, and embed, for all types of weights.

use super::harness::{Case, Devices, Expect, Slot, TestWeight, check_all, floats, wide};
use super::reference;
use crate::common::{Random, whole_cols};
use apprentice::device::Device;
use apprentice::kernels;
use apprentice::quant::TensorType;

const Q4_1: TensorType = TensorType::Q4_1;

/// y[rows, n] through a weight [n, k].
pub fn linear_case(ty: TensorType, [rows, n, k]: [usize; 3], accumulate: bool) -> Case {
    let k = whole_cols(ty, k);
    let mut random = Random((rows * 1000 + n * 10 + k) as u64);
    let w = TestWeight::random(ty, n, k, &mut random);
    let x = floats(&mut random, rows * k);
    let mut y = floats(&mut random, rows * n);
    let mut expected = reference::linear(&wide(&x), &wide(&w.values), k);
    if accumulate {
        expected.iter_mut().zip(&y).for_each(|(to, y)| *to += f64::from(*y));
    } else {
        // What is not added to must not be read either.
        y.fill(f32::NAN);
    }
    let slots = vec![
        Slot::input("x", rows, k, &x),
        Slot::inout("y", rows, n, &y, Expect::Floats(expected)),
    ];
    let name = format!("linear {} {rows} x {n} x {k} {accumulate}", ty.name());
    Case::new(name, slots, move |rec, b| {
        kernels::linear(rec, &b.w[0], &b.t[0], &b.t[1], accumulate)
    })
    .weight(w)
    .tolerance(3e-6 * (k as f64).sqrt(), 1e-5)
}

pub fn dx_case(ty: TensorType, [rows, n, k]: [usize; 3], accumulate: bool) -> Case {
    let k = whole_cols(ty, k);
    let mut random = Random((rows * 1000 + n * 10 + k + 1) as u64);
    let w = TestWeight::random(ty, n, k, &mut random);
    let dy = floats(&mut random, rows * n);
    let mut dx = floats(&mut random, rows * k);
    let mut expected = reference::product(&wide(&dy), &wide(&w.values), n);
    if accumulate {
        expected.iter_mut().zip(&dx).for_each(|(to, dx)| *to += f64::from(*dx));
    } else {
        dx.fill(f32::NAN);
    }
    let slots = vec![
        Slot::input("dy", rows, n, &dy),
        Slot::inout("dx", rows, k, &dx, Expect::Floats(expected)),
    ];
    let name = format!("matmul_dx {} {rows} x {n} x {k} {accumulate}", ty.name());
    Case::new(name, slots, move |rec, b| {
        kernels::matmul_dx(rec, &b.w[0], &b.t[0], &b.t[1], accumulate)
    })
    .weight(w)
    .tolerance(3e-6 * (n as f64).sqrt(), 1e-5)
}

pub fn embed_case(ty: TensorType, vocabulary: usize, d: usize) -> Case {
    let d = whole_cols(ty, d);
    let mut random = Random((vocabulary + d) as u64);
    let w = TestWeight::random(ty, vocabulary, d, &mut random);
    let last = vocabulary - 1;
    let tokens = [last, 0, vocabulary / 2, last, vocabulary / 3].map(|token| token as u32);
    let row = |token: &u32| w.values[*token as usize * d..][..d].to_vec();
    let expected: Vec<f32> = tokens.iter().flat_map(row).collect();
    let slots = vec![
        Slot::words("tokens", &tokens),
        Slot::output("y", tokens.len(), d, Expect::Floats(wide(&expected))),
    ];
    let name = format!("embed {} {vocabulary} x {d}", ty.name());
    Case::new(name, slots, |rec, b| kernels::embed(rec, &b.w[0], &b.t[0].view, &b.t[1]))
        .weight(w)
        // The GPU may fuse q * d + m.
        .tolerance(1e-7, 1e-6)
}

#[test]
fn matvec_agrees() {
    let mut cases = Vec::new();
    for ty in TensorType::ALL {
        cases.push(linear_case(ty, [1, 1, 32], false));
        cases.push(linear_case(ty, [1, 5, 96], true));
        cases.push(linear_case(ty, [1, 192, 576], false));
    }
    cases.push(linear_case(Q4_1, [1, 3, 512], false));
    cases.push(linear_case(Q4_1, [1, 4, 544], false));
    cases.push(linear_case(Q4_1, [1, 576, 1536], true));
    cases.push(linear_case(Q4_1, [1, 33, 2080], false));
    check_all(&Devices::open(), cases);
}

#[test]
fn matmul_agrees() {
    let mut cases = Vec::new();
    for ty in TensorType::ALL {
        // Few rows and many are different loops on the CPU and different kernels on the GPU; 16 are the most of the first.
        cases.push(linear_case(ty, [3, 65, 96], true));
        cases.push(linear_case(ty, [33, 65, 96], true));
        cases.push(linear_case(ty, [9, 65, 96], true));
        cases.push(linear_case(ty, [64, 64, 32], false));
        // Longer than a strip of 24 blocks, and no whole number of strips.
        cases.push(linear_case(ty, [7, 5, 1760], true));
    }
    for rows in [2, 4, 5, 6, 7, 8, 11, 16, 17, 63, 65, 130] {
        cases.push(linear_case(Q4_1, [rows, 63, 64], false));
    }
    for n in [1, 63, 65, 130] {
        cases.push(linear_case(Q4_1, [5, n, 64], false));
    }
    cases.push(linear_case(Q4_1, [7, 192, 576], false));
    cases.push(linear_case(Q4_1, [2, 576, 1536], true));
    check_all(&Devices::open(), cases);
}

#[test]
fn matmul_dx_agrees() {
    let mut cases = Vec::new();
    for ty in TensorType::ALL {
        cases.push(dx_case(ty, [3, 65, 96], true));
        cases.push(dx_case(ty, [64, 32, 64], false));
    }
    for rows in [1, 63, 65, 130] {
        cases.push(dx_case(Q4_1, [rows, 33, 32], false));
    }
    for n in [1, 31, 130] {
        cases.push(dx_case(Q4_1, [2, n, 160], true));
    }
    cases.push(dx_case(Q4_1, [5, 192, 576], false));
    check_all(&Devices::open(), cases);
}

#[test]
fn embed_agrees() {
    let mut cases: Vec<Case> =
        TensorType::ALL.into_iter().map(|ty| embed_case(ty, 71, 96)).collect();
    cases.push(embed_case(Q4_1, 1, 32));
    cases.push(embed_case(Q4_1, 40, 576));
    check_all(&Devices::open(), cases);
}

#[test]
fn rows_that_are_no_whole_blocks_are_refused() {
    for (ty, cols, step) in
        [(Q4_1, 48, 32), (TensorType::Q4K, 576, 256), (TensorType::Q6K, 96, 256)]
    {
        let weight = apprentice::tensor::Weight::alloc(&Device::cpu(), "w", ty, 4, cols);
        let error = weight.err().expect("no whole blocks").to_string();
        assert!(error.contains(&format!("multiple of {step}")), "{error}");
        assert!(error.contains(ty.name()) && error.contains(&cols.to_string()), "{error}");
    }
}

#[test]
fn a_weight_in_parts_is_one_matrix() {
    for ty in TensorType::ALL {
        let cols = if ty == TensorType::F32 { 32 } else { 64 };
        // K-quants' rows, and so the other operands, have 256 columns.
        let devices = Devices::clamped(if ty.block_len() > 32 { 6144 } else { 1024 });
        let mut cases = Vec::new();
        for case in [
            linear_case(ty, [1, 51, cols], false),
            linear_case(ty, [2, 51, cols], false),
            dx_case(ty, [2, 51, cols], false),
            dx_case(ty, [2, 51, cols], true),
            embed_case(ty, 51, 32),
        ] {
            let w =
                apprentice::tensor::Weight::alloc(&devices.gpu, "w", ty, 51, case.weights[0].cols);
            assert!(w.expect("a weight").parts.len() > 1, "{} is in one part", case.name);
            cases.push(case);
        }
        check_all(&devices, cases);
    }
}
