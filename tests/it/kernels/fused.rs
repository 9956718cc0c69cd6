//! What decoding does in one dispatch without an adapter: a norm, the two products behind it, and SwiGLU.

use super::harness::{Case, Devices, Expect, Slot, TestWeight, check_all, floats, wide};
use super::reference;
use crate::common::Random;
use apprentice::kernels::{self, Gemv, Norm};
use apprentice::quant::TensorType;

const EPS: f32 = 1e-5;

/// The ways in which these kernels can add up.
pub const SUMS: [Gemv; 2] = [Gemv::PLAIN, Gemv { subgroups: true, int8: false }];

/// A row, its norm's gain, and the normed row.
pub fn normed(random: &mut Random, cols: usize) -> (Vec<f32>, Vec<f32>, Vec<f64>) {
    let (x, g) = (floats(random, cols), floats(random, cols));
    let normed = reference::rms_norm(&wide(&x), &wide(&g), f64::from(EPS));
    (x, g, normed)
}

pub fn feed_case(ty: TensorType, ff: usize, cols: usize, gemv: Gemv) -> Case {
    let cols = cols.next_multiple_of(ty.block_len());
    let mut random = Random((ff + cols) as u64);
    let (x, g, normed) = normed(&mut random, cols);
    let weights = [ff, ff].map(|n| TestWeight::random(ty, n, cols, &mut random));
    let [gate, up] = weights.each_ref().map(|w| reference::linear(&normed, &wide(&w.values), cols));
    let slots = vec![
        Slot::input("x", 1, cols, &x),
        Slot::input("g", 1, cols, &g),
        Slot::output("h", 1, ff, Expect::Floats(reference::swiglu(&gate, &up))),
    ];
    let name = format!("norm_swiglu {} {} {ff} x {cols}", gemv.name(), ty.name());
    let case = Case::new(name, slots, move |rec, b| {
        let norm = Norm { gain: &b.t[1].view, eps: EPS };
        kernels::norm_swiglu(rec, [&b.w[0], &b.w[1]], &b.t[0], norm, gemv, &b.t[2])
    });
    // Products of two sums: errors of either times the other.
    weights.into_iter().fold(case, Case::weight).tolerance(5e-5 * (cols as f64).sqrt(), 5e-5)
}

#[test]
fn the_first_half_of_the_feed_forward_network_agrees() {
    let mut cases = Vec::new();
    for gemv in SUMS {
        for ty in TensorType::ALL {
            cases.push(feed_case(ty, 1, 32, gemv));
            cases.push(feed_case(ty, 5, 96, gemv));
            cases.push(feed_case(ty, 1536, 576, gemv));
        }
        cases.push(feed_case(TensorType::Q4_1, 2, 512, gemv));
        cases.push(feed_case(TensorType::Q4_1, 7, 2080, gemv));
    }
    check_all(&Devices::open(), cases);
}

#[test]
fn weights_unlike_each_other_are_refused() {
    let device = apprentice::device::Device::cpu();
    let mut random = Random(1);
    let mut weight = |ty, rows| {
        let w = TestWeight::random(ty, rows, 32, &mut random);
        w.upload(&device)
    };
    let (a, b) = (weight(TensorType::Q4_1, 4), weight(TensorType::Q8_0, 4));
    assert!(kernels::are_alike(&[&a, &a]) && !kernels::are_alike(&[&a, &b]));
    let tensor = |cols| apprentice::tensor::Tensor::zeros(&device, "t", 1, cols).unwrap();
    let (x, g, h) = (tensor(32), tensor(32), tensor(4));
    let mut rec = apprentice::device::Recording::new();
    let norm = Norm { gain: &g.view, eps: EPS };
    let error = kernels::norm_swiglu(&mut rec, [&a, &b], &x, norm, Gemv::PLAIN, &h).unwrap_err();
    assert!(error.to_string().contains("unlike"), "{error}");
}
