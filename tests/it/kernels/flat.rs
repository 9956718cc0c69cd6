//! What works on flat buffers: dot, sum, adamw. Sizes are around a workgroup and a round of all workgroups; adamw is
//! checked with its clipping off, biting, and too wide to bite. It knows no shapes, as the kernels do not.

use super::harness::{Case, Devices, Expect, Slot, check_all, floats, wide};
use crate::common::Random;
use apprentice::kernels::{self, AdamW, DOT_PARTIALS, Faster};

/// dot and sum together, as they are used.
pub fn dot_case(n: usize) -> Case {
    let mut random = Random(n as u64);
    let (a, b) = (floats(&mut random, n), floats(&mut random, n));
    let product = wide(&a).iter().zip(wide(&b)).map(|(a, b)| a * b).sum::<f64>();
    let partials = Expect::Checked(Box::new(move |bits| {
        let sum: f64 = bits.iter().map(|bits| f64::from(f32::from_bits(*bits))).sum();
        let close = (sum - product).abs() <= 1e-4;
        if close { Ok(()) } else { Err(format!("partials add up to {sum}, not {product}")) }
    }));
    let slots = vec![
        Slot::input("a", 1, n, &a),
        Slot::input("b", 1, n, &b),
        Slot::output("partials", 1, DOT_PARTIALS, partials),
        Slot::output("total", 1, 1, Expect::Floats(vec![product])),
    ];
    Case::new(format!("dot {n}"), slots, move |rec, b| {
        kernels::dot(rec, &b.t[0].view, &b.t[1].view, n, &b.t[2].view)?;
        kernels::sum(rec, &b.t[2].view, DOT_PARTIALS, &b.t[3].view)
    })
    .tolerance(1e-4, 1e-5)
}

pub fn sum_case(n: usize) -> Case {
    let x = floats(&mut Random(n as u64), n);
    let total = wide(&x).iter().sum();
    let slots =
        vec![Slot::input("x", 1, n, &x), Slot::output("total", 1, 1, Expect::Floats(vec![total]))];
    Case::new(format!("sum {n}"), slots, move |rec, b| {
        kernels::sum(rec, &b.t[0].view, n, &b.t[1].view)
    })
}

pub fn adamw_case(n: usize, clip: f32, faster: Option<Faster>) -> Case {
    let mut random = Random(n as u64);
    let step = AdamW {
        lr: 1e-2,
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-6,
        weight_decay: 0.1,
        step: 3,
        clip,
        n,
        faster,
    };
    let rate = |i: usize| {
        let ratio = faster.map_or(1.0, |f| {
            let place = (f.at + i) % f.period;
            let within = f.spans.iter().any(|[first, end]| (*first..*end).contains(&place));
            if within { f.ratio } else { 1.0 }
        });
        f64::from(step.lr) * f64::from(ratio)
    };
    let (g, p, m) = (floats(&mut random, n), floats(&mut random, n), floats(&mut random, n));
    let v: Vec<f32> = floats(&mut random, n).iter().map(|v| v.abs()).collect();
    let norm: f32 = g.iter().map(|g| g * g).sum();
    let shrink = match clip {
        0.0 => 1.0,
        clip => (f64::from(clip) / f64::from(norm).sqrt()).min(1.0),
    };
    let (mut ps, mut ms, mut vs) = (wide(&p), wide(&m), wide(&v));
    let (beta1, beta2) = (f64::from(step.beta1), f64::from(step.beta2));
    for (i, g) in wide(&g).iter().map(|g| g * shrink).enumerate() {
        ms[i] = beta1 * ms[i] + (1.0 - beta1) * g;
        vs[i] = beta2 * vs[i] + (1.0 - beta2) * g * g;
        let (m, v) = (ms[i] / (1.0 - beta1.powi(3)), vs[i] / (1.0 - beta2.powi(3)));
        let decay = f64::from(step.weight_decay) * ps[i];
        ps[i] -= rate(i) * (m / (v.sqrt() + f64::from(step.eps)) + decay);
    }
    let slots = vec![
        Slot::input("g", 1, n, &g),
        Slot::input("norm", 1, 1, &[norm]),
        Slot::inout("p", 1, n, &p, Expect::Floats(ps)),
        Slot::inout("m", 1, n, &m, Expect::Floats(ms)),
        Slot::inout("v", 1, n, &v, Expect::Floats(vs)),
    ];
    Case::new(format!("adamw {n} clip {clip} {faster:?}"), slots, move |rec, b| {
        let [g, norm, p, m, v] = [0, 1, 2, 3, 4].map(|i| &b.t[i].view);
        kernels::adamw(rec, g, norm, p, m, v, step)
    })
    // The second moment is zero here and there, where eps divides and rounding shows.
    .tolerance(1e-6, 1e-5)
}

#[test]
fn sums_agree() {
    let sizes = [1, 255, 256, 257, 5000, 65_536, 100_003];
    let mut cases: Vec<Case> = sizes.into_iter().map(dot_case).collect();
    cases.extend([1, 255, 256, 257, 5000].into_iter().map(sum_case));
    check_all(&Devices::open(), cases);
}

#[test]
fn steps_agree() {
    let cases = [1, 255, 256, 257, 5000];
    let cases =
        cases.into_iter().flat_map(|n| [0.0, 1.0, 1e6].map(|clip| adamw_case(n, clip, None)));
    check_all(&Devices::open(), cases.collect());
}

/// Seven places of a period, one of them empty and one at its end.
pub const FASTER: Faster = Faster {
    ratio: 16.0,
    period: 640,
    at: 0,
    spans: [[64, 128], [129, 130], [200, 256], [300, 300], [320, 384], [448, 449], [600, 640]],
};

#[test]
fn some_parameters_learn_faster() {
    let starts = [0, 1, 100, 639].map(|at| Faster { at, ..FASTER });
    let cases = starts
        .into_iter()
        .flat_map(|faster| [1, 257, 5000, 20_000].map(|n| adamw_case(n, 1.0, Some(faster))));
    check_all(&Devices::open(), cases.collect());
}
