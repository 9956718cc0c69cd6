//! What sampling needs: argmax, top_k, penalize; ties and negative numbers included.

use super::harness::{Case, Devices, Expect, Slot, check_all, floats, wide};
use super::reference::log_sum_exp;
use crate::common::Random;
use apprentice::kernels::{self, Nucleus, top_k_words};

/// Logits with many ties: few distinct values.
fn tied(random: &mut Random, n: usize) -> Vec<f32> {
    floats(random, n).iter().map(|x| (x * 4.0).round()).collect()
}

/// Ids of the k largest, by definition: sort everything.
fn best(row: &[f32], k: usize) -> Vec<u32> {
    let mut ids: Vec<u32> = (0..row.len() as u32).collect();
    ids.sort_by(|a, b| row[*b as usize].total_cmp(&row[*a as usize]).then(a.cmp(b)));
    ids.truncate(k);
    ids
}

pub fn argmax_case(rows: usize, cols: usize, logits: &[f32]) -> Case {
    let ids = logits.chunks(cols).map(|row| best(row, 1)[0]).collect();
    let slots = vec![
        Slot::input("logits", rows, cols, logits),
        Slot::output("ids", 1, rows, Expect::Bits(ids)),
    ];
    Case::new(format!("argmax {rows} x {cols}"), slots, |rec, b| {
        kernels::argmax(rec, &b.t[0], &b.t[1].view)
    })
}

pub fn top_k_case(rows: usize, cols: usize, k: usize, logits: &[f32]) -> Case {
    let logits = logits.to_vec();
    let slots = vec![
        Slot::input("logits", rows, cols, &logits),
        Slot::output(
            "best",
            rows,
            top_k_words(k),
            Expect::Checked(Box::new(move |bits| {
                for (row, words) in logits.chunks(cols).zip(bits.chunks(top_k_words(k))) {
                    let mut expected = best(row, k);
                    expected.extend(best(row, k).iter().map(|id| row[*id as usize].to_bits()));
                    if words[..2 * k] != expected {
                        return Err(format!("{words:?}, not {expected:?}"));
                    }
                    let (lse, theirs) = (f32::from_bits(words[2 * k]), log_sum_exp(&wide(row)));
                    let close = (f64::from(lse) - theirs).abs() <= 1e-5;
                    if !close {
                        return Err(format!("log-sum-exp {lse}, not {theirs}"));
                    }
                }
                Ok(())
            })),
        ),
    ];
    Case::new(format!("top_k {rows} x {cols}, {k}"), slots, move |rec, b| {
        kernels::top_k(rec, &b.t[0], k, &b.t[1].view)
    })
}

pub fn penalize_case(n: usize, cols: usize) -> Case {
    let mut random = Random(n as u64);
    let logits = floats(&mut random, cols);
    // Distinct ids, and one that is none.
    let mut ids: Vec<u32> = (0..n as u32).map(|i| (i * 7) % cols as u32).collect();
    ids.push(u32::MAX);
    let mut expected = wide(&logits);
    for id in &ids[..n] {
        let logit = &mut expected[*id as usize];
        *logit = if *logit > 0.0 { *logit / 1.3 } else { *logit * 1.3 };
    }
    let slots = vec![
        Slot::words("ids", &ids),
        Slot::inout("logits", 1, cols, &logits, Expect::Floats(expected)),
    ];
    Case::new(format!("penalize {n} of {cols}"), slots, move |rec, b| {
        kernels::penalize(rec, &b.t[0].view, n + 1, 1.3, &b.t[1])
    })
    .tolerance(1e-6, 1e-6)
}

/// The id whose stretch of [0, 1) holds u, by definition, in f64; none where u is at a border.
fn drawn(logits: &[f32], nucleus: Nucleus) -> Option<usize> {
    let scaled = |l: &f32| (f64::from(l - logits[0]) / f64::from(nucleus.temperature)).exp();
    let weights: Vec<f64> = logits.iter().map(scaled).collect();
    let total: f64 = weights.iter().sum();
    let mut sums: Vec<f64> = vec![0.0];
    for weight in &weights {
        sums.push(sums[sums.len() - 1] + weight / total);
    }
    let top_p = f64::from(nucleus.top_p);
    let all = weights.len();
    let cut = (1..all).find(|n| sums[*n] >= top_p).filter(|_| top_p < 1.0);
    let n = cut.unwrap_or(all);
    let at = f64::from(nucleus.u) * sums[n];
    let near = |border: f64, x: f64| (border - x).abs() < 1e-5;
    let at_border = sums[..=n].iter().any(|sum| near(*sum, at))
        || (top_p < 1.0 && sums.iter().any(|sum| near(*sum, top_p)));
    (!at_border).then(|| (0..n).find(|i| at < sums[i + 1]).unwrap_or(n - 1))
}

/// A draw of k candidates; none where it falls on a border.
pub fn draw_case(k: usize, nucleus: Nucleus) -> Option<Case> {
    let mut random = Random(k as u64);
    let mut logits: Vec<f32> = floats(&mut random, k).iter().map(|x| x * 3.0).collect();
    logits.sort_by(|a, b| b.total_cmp(a));
    let ids: Vec<u32> = (0..k as u32).map(|i| 7 * i + 3).collect();
    let expected = ids[drawn(&logits, nucleus)?];
    let bits = logits.iter().map(|logit| logit.to_bits());
    // The log-sum-exp is not needed.
    let best: Vec<u32> = ids.iter().copied().chain(bits).chain([0]).collect();
    let slots =
        vec![Slot::words("best", &best), Slot::output("id", 1, 1, Expect::Bits(vec![expected]))];
    Some(Case::new(format!("draw of {k}, {nucleus:?}"), slots, move |rec, b| {
        kernels::draw(rec, &b.t[0].view, k, nucleus, &b.t[1].view)
    }))
}

#[test]
fn draws_agree() {
    let mut cases = Vec::new();
    for (i, k) in [1, 2, 5, 40, 63, 64].into_iter().enumerate() {
        for j in 0..8 {
            let u = (j as f32 + 0.3) / 8.1;
            let (temperature, top_p) = ([0.3, 1.0, 3.0][(i + j) % 3], [1.0, 0.9, 0.2][j % 3]);
            cases.extend(draw_case(k, Nucleus { temperature, top_p, u }));
        }
    }
    assert!(cases.len() > 40, "few draws fall on a border");
    check_all(&Devices::open(), cases);
}

#[test]
fn choices_agree() {
    let mut random = Random(5);
    let mut cases = Vec::new();
    for cols in [1, 2, 255, 256, 257, 1000] {
        let below: Vec<f32> = floats(&mut random, 2 * cols).iter().map(|x| x - 9.0).collect();
        for logits in [floats(&mut random, 2 * cols), tied(&mut random, 2 * cols), below] {
            cases.push(argmax_case(2, cols, &logits));
            for k in [1, 5, 64] {
                cases.push(top_k_case(2, cols, k.min(cols), &logits));
            }
        }
    }
    // All the same: the lowest ids win.
    cases.push(top_k_case(1, 700, 64, &[0.5; 700]));
    let vocabulary = floats(&mut random, 49_152);
    cases.push(argmax_case(1, 49_152, &vocabulary));
    cases.push(top_k_case(1, 49_152, 40, &vocabulary));
    check_all(&Devices::open(), cases);
}

#[test]
fn penalties_agree() {
    let cases = [(1, 10), (255, 2000), (256, 2000), (300, 5000)];
    check_all(&Devices::open(), cases.map(|(n, cols)| penalize_case(n, cols)).into());
}
