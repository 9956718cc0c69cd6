//! The formulas in f64, as plainly as they are written in the papers; slow and without cleverness.
//!
//! Only forward formulas: gradients are checked against differences of these.

/// x [rows, k] times wᵀ, w [n, k].
pub fn linear(x: &[f64], w: &[f64], k: usize) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum();
    x.chunks(k).flat_map(|x| w.chunks(k).map(move |w| dot(x, w))).collect()
}

/// a [m, k] times b [k, n].
pub fn product(a: &[f64], b: &[f64], k: usize) -> Vec<f64> {
    linear(a, &transpose(b, b.len() / k), k)
}

/// The transpose of a matrix with `cols` columns.
pub fn transpose(a: &[f64], cols: usize) -> Vec<f64> {
    (0..cols).flat_map(|j| a.chunks(cols).map(move |row| row[j])).collect()
}

pub fn rms_norm(x: &[f64], g: &[f64], eps: f64) -> Vec<f64> {
    let norm = |x: &[f64]| {
        let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
        let rms = (mean + eps).sqrt();
        x.iter().zip(g).map(|(x, g)| x / rms * g).collect::<Vec<f64>>()
    };
    x.chunks(g.len()).flat_map(norm).collect()
}

pub fn swiglu(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a / (1.0 + (-a).exp()) * b).collect()
}

/// Where heads and keys are.
#[derive(Clone, Copy)]
pub struct Heads {
    pub heads: usize,
    pub kv_heads: usize,
    pub hd: usize,
}

/// The output and each row's and head's log-sum-exp.
pub fn attention(q: &[f64], k: &[f64], v: &[f64], spans: &[u32], s: Heads) -> (Vec<f64>, Vec<f64>) {
    let (mut o, mut lses) = (Vec::new(), Vec::new());
    for (i, q) in q.chunks(s.hd).enumerate() {
        let (t, head) = (i / s.heads, i % s.heads / (s.heads / s.kv_heads));
        let span = &spans[4 * t..4 * t + 4];
        let keys = (span[0]..span[1]).filter(|key| !(span[2]..span[3]).contains(key));
        let keys = keys.map(|key| key as usize);
        let row =
            |key: usize| (key * s.kv_heads + head) * s.hd..(key * s.kv_heads + head + 1) * s.hd;
        let score = |key| {
            q.iter().zip(&k[row(key)]).map(|(q, k)| q * k).sum::<f64>() / (s.hd as f64).sqrt()
        };
        let scores: Vec<f64> = keys.clone().map(score).collect();
        let total: f64 = scores.iter().map(|score| score.exp()).sum();
        let mut sum = vec![0.0; s.hd];
        for (key, score) in keys.zip(&scores) {
            for (sum, v) in sum.iter_mut().zip(&v[row(key)]) {
                *sum += score.exp() / total * v;
            }
        }
        o.extend(sum);
        lses.push(if scores.is_empty() { -1.0e30 } else { total.ln() });
    }
    (o, lses)
}

pub fn log_sum_exp(row: &[f64]) -> f64 {
    let peak = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    peak + row.iter().map(|x| (x - peak).exp()).sum::<f64>().ln()
}

pub fn softmax(row: &[f64]) -> Vec<f64> {
    let lse = log_sum_exp(row);
    row.iter().map(|x| (x - lse).exp()).collect()
}

/// KL(softmax(teacher) || softmax(student)).
pub fn kl(teacher: &[f64], student: &[f64]) -> f64 {
    let (t, s) = (log_sum_exp(teacher), log_sum_exp(student));
    let term = |(q, p): (&f64, &f64)| (q - t).exp() * ((q - t) - (p - s));
    teacher.iter().zip(student).map(term).sum()
}

/// The gradient of Σ weights f(x) by central differences.
pub fn gradient(x: &[f64], weights: &[f64], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let loss = |i: usize, by: f64| -> f64 {
        let mut x = x.to_vec();
        x[i] += by;
        f(&x).iter().zip(weights).map(|(y, w)| y * w).sum()
    };
    (0..x.len()).map(|i| (loss(i, STEP) - loss(i, -STEP)) / (2.0 * STEP)).collect()
}
