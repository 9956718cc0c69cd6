//! Backward kernels against central differences of the forward formulas in f64, on the CPU device and on the GPU; at
//! the default model's sizes, where differences would take too long, the two devices against each other.
//!
//! The loss is a weighted sum of the outputs with random weights, so that no error cancels.

use crate::common::Random;
use crate::kernels::attention::without_holes;
use crate::kernels::harness::{Case, Devices, Expect, Slot, check_all, floats, wide};
use crate::kernels::reference::{self, Heads, gradient};
use apprentice::device::Recording;
use apprentice::kernels::{self, AttentionShape};

/// The gradient to expect: by differences, or none but the twin's.
fn expect(small: bool, differences: impl FnOnce() -> Vec<f64>) -> Expect {
    if small { Expect::Floats(differences()) } else { Expect::Twin }
}

pub fn norm_case(rows: usize, d: usize) -> Case {
    let mut random = Random((rows + d) as u64);
    let (x, g) = (floats(&mut random, rows * d), floats(&mut random, d));
    let (dy, dx) = (floats(&mut random, rows * d), floats(&mut random, rows * d));
    let eps = 1e-5;
    let expected = expect(d < 100, || {
        let f = |x: &[f64]| reference::rms_norm(x, &wide(&g), f64::from(eps));
        let grads = gradient(&wide(&x), &wide(&dy), f);
        grads.iter().zip(&dx).map(|(grad, dx)| grad + f64::from(*dx)).collect()
    });
    let slots = vec![
        Slot::input("x", rows, d, &x),
        Slot::input("g", 1, d, &g),
        Slot::input("dy", rows, d, &dy),
        Slot::inout("dx", rows, d, &dx, expected),
    ];
    Case::new(format!("rms_norm_dx {rows} x {d}"), slots, move |rec, b| {
        kernels::rms_norm_dx(rec, &b.t[0], &b.t[1].view, &b.t[2], eps, &b.t[3])
    })
    .tolerance(5e-6, 1e-5)
}

pub fn swiglu_case(n: usize) -> Case {
    let mut random = Random(n as u64);
    let mut a: Vec<f32> = floats(&mut random, n).iter().map(|x| x * 6.0).collect();
    a[0] = -100.0;
    let (b, dh) = (floats(&mut random, n), floats(&mut random, n));
    let (wa, wb, wdh) = (wide(&a), wide(&b), wide(&dh));
    let da = expect(n < 300, || gradient(&wa, &wdh, |a| reference::swiglu(a, &wb)));
    let db = expect(n < 300, || gradient(&wb, &wdh, |b| reference::swiglu(&wa, b)));
    let slots = vec![
        Slot::input("a", 1, n, &a),
        Slot::input("b", 1, n, &b),
        Slot::input("dh", 1, n, &dh),
        Slot::output("da", 1, n, da),
        Slot::output("db", 1, n, db),
    ];
    Case::new(format!("swiglu_grad {n}"), slots, |rec, b| {
        kernels::swiglu_grad(rec, &b.t[0], &b.t[1], &b.t[2], &b.t[3], &b.t[4])
    })
    .tolerance(2e-6, 5e-6)
}

/// The rows that see each key, from the keys that each row sees.
fn key_spans(spans: &[u32], keys: usize) -> Vec<u32> {
    let rows_of = |key: u32| {
        let seen = |t: &usize| {
            let [lo, hi, hole, end] = std::array::from_fn(|i| spans[4 * t + i]);
            (lo..hi).contains(&key) && !(hole..end).contains(&key)
        };
        let rows: Vec<u32> = (0..spans.len() / 4).filter(seen).map(|t| t as u32).collect();
        let (first, last) = (rows.first().copied(), rows.last().copied());
        let span = [first.unwrap_or(0), last.map_or(0, |last| last + 1)];
        assert_eq!(rows.len() as u32, span[1] - span[0], "a gap in the rows that see {key}");
        span
    };
    (0..keys as u32).flat_map(rows_of).collect()
}

/// attention, attention_dq and attention_dkv together, as they are used.
pub fn attention_case(name: &str, s: Heads, keys: usize, spans: &[u32], small: bool) -> Case {
    let rows = spans.len() / 4;
    let mut random = Random((rows + keys + s.hd) as u64);
    let (q_cols, k_cols) = (s.heads * s.hd, s.kv_heads * s.hd);
    let q = floats(&mut random, rows * q_cols);
    let k = floats(&mut random, keys * k_cols);
    let v = floats(&mut random, keys * k_cols);
    let d_o = floats(&mut random, rows * q_cols);
    let [wq, wk, wv, w] = [&q, &k, &v, &d_o].map(|x| wide(x));
    let f = |q: &[f64], k: &[f64], v: &[f64]| reference::attention(q, k, v, spans, s).0;
    let dq = expect(small, || gradient(&wq, &w, |q| f(q, &wk, &wv)));
    let dk = expect(small, || gradient(&wk, &w, |k| f(&wq, k, &wv)));
    let dv = expect(small, || gradient(&wv, &w, |v| f(&wq, &wk, v)));
    let slots = vec![
        Slot::input("q", rows, q_cols, &q),
        Slot::input("k", keys, k_cols, &k),
        Slot::input("v", keys, k_cols, &v),
        Slot::words("spans", spans),
        Slot::words("key_spans", &key_spans(spans, keys)),
        Slot::input("d_o", rows, q_cols, &d_o),
        Slot::output("o", rows, q_cols, Expect::Twin),
        Slot::output("stats", rows, 2 * s.heads, Expect::Twin),
        Slot::output("dq", rows, q_cols, dq),
        Slot::output("dk", keys, k_cols, dk),
        Slot::output("dv", keys, k_cols, dv),
    ];
    let shape = AttentionShape { heads: s.heads, kv_heads: s.kv_heads, head_dim: s.hd };
    let name = format!("attention {name} {shape:?} {rows} x {keys}");
    Case::new(name, slots, move |rec, b| {
        let [q, k, v, spans, key_spans, d_o] = [0, 1, 2, 3, 4, 5].map(|i| &b.t[i]);
        let [o, stats, dq, dk, dv] = [6, 7, 8, 9, 10].map(|i| &b.t[i]);
        let (spans, key_spans) = (&spans.view, &key_spans.view);
        kernels::attention(rec, q, k, v, spans, None, o, stats, shape)?;
        kernels::attention_dq(rec, q, k, v, o, d_o, spans, stats, dq, shape)?;
        kernels::attention_dkv(rec, q, k, v, d_o, stats, key_spans, dk, dv, shape)
    })
    .tolerance(5e-6, 2e-5)
}

fn causal(rows: usize) -> Vec<u32> {
    (0..rows as u32).flat_map(|t| [0, t + 1, 0, 0]).collect()
}

/// Three rows, and two texts that go on after the first two of them.
pub const SHARED: [u32; 28] =
    [0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 2, 3, 0, 5, 2, 3, 0, 6, 2, 5, 0, 7, 2, 5];

/// `n` rows, and three texts of `own` rows that go on after all of them.
fn sharing(n: usize, own: usize) -> Vec<u32> {
    let mut spans = causal(n);
    for text in 0..3 {
        let first = (n + text * own) as u32;
        spans.extend((first..first + own as u32).flat_map(|row| [0, row + 1, n as u32, first]));
    }
    spans
}

#[test]
fn norm_gradients() {
    let cases = [(1, 1), (3, 31), (2, 64), (3, 257), (4, 576)];
    check_all(&Devices::open(), cases.map(|(rows, d)| norm_case(rows, d)).into());
}

#[test]
fn swiglu_gradients() {
    check_all(&Devices::open(), [1, 255, 257, 1536].map(swiglu_case).into());
}

#[test]
fn attention_gradients() {
    let one = Heads { heads: 1, kv_heads: 1, hd: 4 };
    let grouped = Heads { heads: 4, kv_heads: 2, hd: 8 };
    let odd = Heads { heads: 3, kv_heads: 1, hd: 12 };
    let smol = Heads { heads: 9, kv_heads: 3, hd: 64 };
    let cases = vec![
        attention_case("one", one, 1, &causal(1), true),
        attention_case("causal", grouped, 6, &causal(6), true),
        attention_case("packed", odd, 6, &without_holes(&[0, 1, 0, 2, 2, 3, 2, 4, 2, 5]), true),
        attention_case("sharing an opening", odd, 7, &SHARED, true),
        // More rows and keys than a tile has.
        attention_case("causal", one, 70, &causal(70), true),
        attention_case("sharing an opening", grouped, 79, &sharing(40, 13), true),
        attention_case("causal", smol, 70, &causal(70), false),
        attention_case("causal", Heads { heads: 2, kv_heads: 1, hd: 128 }, 9, &causal(9), false),
        attention_case("causal", Heads { heads: 2, kv_heads: 2, hd: 96 }, 9, &causal(9), false),
    ];
    check_all(&Devices::open(), cases);
}

/// The losses write formulas' gradients in place; here against differences of the loss itself.
#[test]
fn loss_gradients() {
    let (rows, cols) = (3, 37);
    let mut random = Random(8);
    let (student, teacher) = (floats(&mut random, rows * cols), floats(&mut random, rows * cols));
    let weights = floats(&mut random, rows);
    let labels = [5u32, 36, 0];
    let nll = |x: &[f64]| -> Vec<f64> {
        let rows = x.chunks(cols).zip(labels);
        rows.map(|(row, label)| reference::log_sum_exp(row) - row[label as usize]).collect()
    };
    let t = wide(&teacher);
    let kls = |x: &[f64]| -> Vec<f64> {
        x.chunks(cols).zip(t.chunks(cols)).map(|(s, t)| reference::kl(t, s)).collect()
    };
    let grads = |f: &dyn Fn(&[f64]) -> Vec<f64>| {
        Expect::Floats(gradient(&wide(&student), &wide(&weights), f))
    };
    let ce = Case::new(
        "cross_entropy".into(),
        vec![
            Slot::words("labels", &labels),
            Slot::input("weights", 1, rows, &weights),
            Slot::inout("logits", rows, cols, &student, grads(&nll)),
            Slot::output("loss", 1, rows, Expect::Floats(nll(&wide(&student)))),
        ],
        |rec, b| {
            let t = &b.t;
            kernels::cross_entropy(rec, &t[0].view, &t[1].view, &t[2], &t[3].view)
        },
    );
    let kl = Case::new(
        "kl_divergence".into(),
        vec![
            Slot::input("teacher", rows, cols, &teacher),
            Slot::input("weights", 1, rows, &weights),
            Slot::inout("logits", rows, cols, &student, grads(&kls)),
            Slot::output("loss", 1, rows, Expect::Floats(kls(&wide(&student)))),
        ],
        |rec, b| {
            let t = &b.t;
            kernels::kl_divergence(rec, &t[0], &t[1].view, &t[2], &t[3].view)
        },
    );
    check_all(&Devices::open(), vec![ce, kl]);
}

/// A whole LoRA layer: y = x wᵀ + s (x aᵀ) bᵀ, with the gradients of x, a and b as training records them.
#[test]
fn adapter_gradients() {
    let (rows, k, n, rank, s) = (5, 32, 7, 3, 0.75f32);
    let mut random = Random(21);
    let w = crate::kernels::harness::TestWeight::random(
        apprentice::quant::TensorType::Q4_1,
        n,
        k,
        &mut random,
    );
    let (x, a) = (floats(&mut random, rows * k), floats(&mut random, rank * k));
    let (b, dy) = (floats(&mut random, n * rank), floats(&mut random, rows * n));
    let [wx, wa, wb, wdy, ww] = [&x, &a, &b, &dy, &w.values].map(|x| wide(x));
    let f = |x: &[f64], a: &[f64], b: &[f64]| -> Vec<f64> {
        let u = reference::linear(x, a, k);
        let (y, adapted) = (reference::linear(x, &ww, k), reference::linear(&u, b, rank));
        y.iter().zip(adapted).map(|(y, adapted)| y + f64::from(s) * adapted).collect()
    };
    let zeros = |n: usize| vec![0.0f32; n];
    let slots = vec![
        Slot::input("x", rows, k, &x),
        Slot::input("a", rank, k, &a),
        Slot::input("b", n, rank, &b),
        Slot::input("dy", rows, n, &dy),
        Slot::output("u", rows, rank, Expect::Twin),
        Slot::output("du", rows, rank, Expect::Twin),
        Slot::output("y", rows, n, Expect::Floats(f(&wx, &wa, &wb))),
        Slot::output("dx", rows, k, Expect::Floats(gradient(&wx, &wdy, |x| f(x, &wa, &wb)))),
        Slot::inout(
            "da",
            rank,
            k,
            &zeros(rank * k),
            Expect::Floats(gradient(&wa, &wdy, |a| f(&wx, a, &wb))),
        ),
        Slot::inout(
            "db",
            n,
            rank,
            &zeros(n * rank),
            Expect::Floats(gradient(&wb, &wdy, |b| f(&wx, &wa, b))),
        ),
    ];
    let record = move |rec: &mut Recording, bound: &crate::kernels::harness::Bound| {
        let [x, a, b, dy, u] = [0, 1, 2, 3, 4].map(|i| &bound.t[i]);
        let [du, y, dx, da, db] = [5, 6, 7, 8, 9].map(|i| &bound.t[i]);
        kernels::linear(rec, &bound.w[0], x, y, false)?;
        kernels::lora_a(rec, x, a, u)?;
        kernels::lora_b(rec, u, b, s, y)?;
        kernels::matmul_dx(rec, &bound.w[0], dy, dx, false)?;
        kernels::lora_du(rec, dy, b, s, du)?;
        kernels::lora_dx(rec, du, a, dx)?;
        kernels::lora_grad(rec, du, x, 1.0, da, false)?;
        kernels::lora_grad(rec, u, dy, s, db, true)
    };
    check_all(&Devices::open(), vec![Case::new("adapter".into(), slots, record).weight(w)]);
}
