//! The ways of a one-row product: subgroups give the plain way's numbers, and 8-bit numbers those of the row that they
//! round.

use super::harness::{Case, Devices, Expect, Slot, TestWeight, check_all, floats, wide};
use super::reference;
use crate::common::{Random, whole_cols};
use apprentice::device::{Device, Features};
use apprentice::kernels::{self, Gemv};
use apprentice::quant::TensorType;

/// The 8 places of a block of 32 that make up its unit `s`.
fn unit_places(block: usize, s: usize) -> [usize; 8] {
    std::array::from_fn(|i| 32 * block + 16 * (i / 4) + 4 * s + i % 4)
}

/// A row that 8 bits hold: in each unit of 8 whole numbers up to 127 and 127 itself, times a power of two of the unit's
/// own; one unit is zero, one of numbers too small to count.
fn whole_row(random: &mut Random, k: usize) -> Vec<f32> {
    let mut x = vec![0.0; k];
    for unit in 0..k / 8 {
        let places = unit_places(unit / 4, unit % 4);
        let scale = (0.5f32).powi(5 + (unit % 7) as i32);
        for (i, at) in places.into_iter().enumerate() {
            let largest = i == unit % 8;
            let whole = if largest { 127.0 } else { (random.float() * 127.0).round() };
            x[at] = match unit {
                1 => 0.0,
                2 => 1.0e-39,
                _ => whole * scale * if unit % 2 == 0 { 1.0 } else { -1.0 },
            };
        }
    }
    x
}

/// y (+)= W x of `[n, k]` in the way `gemv`, of a row that 8 bits hold.
pub fn case(ty: TensorType, [n, k]: [usize; 2], gemv: Gemv, accumulate: bool) -> Case {
    let k = whole_cols(ty, k);
    let mut random = Random((n * 10 + k) as u64);
    let w = TestWeight::random(ty, n, k, &mut random);
    let x = whole_row(&mut random, k);
    let mut y = floats(&mut random, n);
    let mut expected = reference::linear(&wide(&x), &wide(&w.values), k);
    if accumulate {
        expected.iter_mut().zip(&y).for_each(|(to, y)| *to += f64::from(*y));
    } else {
        // What is not added to must not be read either.
        y.fill(f32::NAN);
    }
    let slots =
        vec![Slot::input("x", 1, k, &x), Slot::inout("y", 1, n, &y, Expect::Floats(expected))];
    let name = format!("matvec {} {} {n} x {k} {accumulate}", gemv.name(), ty.name());
    Case::new(name, slots, move |rec, b| {
        kernels::matvec(rec, &b.w[0], &b.t[0], &b.t[1], accumulate, gemv, None)
    })
    .weight(w)
    // Numbers up to 4, and the sums of 8 bits' products lose no more than others.
    .tolerance(1.2e-5 * (k as f64).sqrt(), 1e-5)
}

fn ways(features: Features, ty: TensorType) -> impl Iterator<Item = Gemv> {
    Gemv::ALL.into_iter().filter(move |gemv| gemv.runs(features, ty))
}

#[test]
fn every_way_agrees() {
    let devices = Devices::open();
    let features = devices.gpu.features();
    assert!(features.subgroups && features.int8_dot, "the software adapter has both");
    let mut cases = Vec::new();
    for ty in TensorType::ALL {
        assert_eq!(ways(features, ty).count(), if ty.is_quantized() { 4 } else { 2 });
        for gemv in ways(features, ty) {
            cases.push(case(ty, [1, 96], gemv, false));
            cases.push(case(ty, [65, 576], gemv, true));
            // Workgroups of 128 lanes.
            cases.push(case(ty, [3, 2080], gemv, false));
        }
    }
    check_all(&devices, cases);
}

#[test]
fn eight_bits_round_by_no_more_than_they_must() {
    let gpu = Devices::open().gpu;
    for ty in TensorType::ALL.into_iter().filter(|ty| ty.is_quantized()) {
        let k = whole_cols(ty, 576);
        let mut random = Random(k as u64);
        let w = TestWeight::random(ty, 64, k, &mut random);
        let x = floats(&mut random, k);
        let exact = reference::linear(&wide(&x), &wide(&w.values), k);
        let ours = product(&gpu, &w, &x, Gemv { subgroups: false, int8: true });
        // Each number is off by at most 1/254 of its unit's largest.
        let slack = |row: &[f32]| -> f64 {
            let unit = |unit: usize| {
                let places = unit_places(unit / 4, unit % 4);
                let most = places.iter().fold(0.0f32, |most, at| most.max(x[*at].abs()));
                let weights: f32 = places.iter().map(|at| row[*at].abs()).sum();
                f64::from(most / 254.0 * weights)
            };
            (0..k / 8).map(unit).sum()
        };
        let (mut squares, mut errors) = (0.0, 0.0);
        for (row, (ours, exact)) in w.values.chunks(k).zip(ours.iter().zip(&exact)) {
            let off = (f64::from(*ours) - exact).abs();
            assert!(off <= slack(row) + 1e-4, "{}: {ours} for {exact}", ty.name());
            squares += exact * exact;
            errors += off * off;
        }
        let relative = (errors / squares).sqrt();
        println!("{}: relative error {relative:.5}", ty.name());
        assert!(relative > 1e-5, "{}: as exact as floats: the way was not taken", ty.name());
        assert!(relative < 5e-3, "{}: {relative}", ty.name());
    }
}

fn product(device: &Device, w: &TestWeight, x: &[f32], gemv: Gemv) -> Vec<f32> {
    let weight = w.upload(device);
    let tensor = |data: &[f32]| {
        apprentice::tensor::Tensor::upload(device, "t", data, 1, data.len()).expect("a row")
    };
    let (x, y) = (tensor(x), tensor(&vec![0.0; w.rows]));
    let mut rec = apprentice::device::Recording::new();
    kernels::matvec(&mut rec, &weight, &x, &y, false, gemv, None).expect("a product");
    device.submit(rec).expect("a submit");
    pollster::block_on(y.read(device)).expect("the product")
}

#[test]
fn a_way_runs_where_device_and_type_have_it() {
    let [plain, subgroups, int8, both] = Gemv::ALL;
    let none = Features::default();
    let some = Features { subgroups: true, ..none };
    let all = Features { int8_dot: true, ..some };
    let q = TensorType::Q4_1;
    assert!(plain.runs(none, q) && !subgroups.runs(none, q) && !int8.runs(none, q));
    assert!(subgroups.runs(some, q) && !both.runs(some, q));
    assert!(int8.runs(all, q) && both.runs(all, q));
    assert!(subgroups.runs(all, TensorType::F16) && !int8.runs(all, TensorType::F16));
}
