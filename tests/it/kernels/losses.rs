//! The losses, with their gradients in place: cross_entropy and kl_divergence. Rows without a label, logits whose
//! exponentials overflow, and the default model's vocabulary are among the cases.

use super::harness::{Case, Devices, Expect, Slot, check_all, floats, wide};
use super::reference::{kl, log_sum_exp, softmax};
use crate::common::Random;
use apprentice::kernels;

pub fn cross_entropy_case(rows: usize, cols: usize) -> Case {
    let mut random = Random((rows + cols) as u64);
    let mut logits: Vec<f32> = floats(&mut random, rows * cols).iter().map(|x| x * 10.0).collect();
    // Only the maximum's subtraction keeps exp from overflowing here.
    logits[0] = 300.0;
    let weights = floats(&mut random, rows);
    let mut labels: Vec<u32> = (0..rows).map(|_| random.bits() as u32 % cols as u32).collect();
    // A row without a label.
    if rows > 2 {
        labels[1] = u32::MAX;
    }
    let (mut grads, mut losses) = (Vec::new(), Vec::new());
    for ((row, label), weight) in wide(&logits).chunks(cols).zip(&labels).zip(wide(&weights)) {
        let label = *label as usize;
        let weight = if label < cols { weight } else { 0.0 };
        let hot = |i: usize| if i == label { 1.0 } else { 0.0 };
        grads.extend(softmax(row).iter().enumerate().map(|(i, p)| (p - hot(i)) * weight));
        losses.push(if label < cols { log_sum_exp(row) - row[label] } else { 0.0 });
    }
    let slots = vec![
        Slot::words("labels", &labels),
        Slot::input("weights", 1, rows, &weights),
        Slot::inout("logits", rows, cols, &logits, Expect::Floats(grads)),
        Slot::output("loss", 1, rows, Expect::Floats(losses)),
    ];
    Case::new(format!("cross_entropy {rows} x {cols}"), slots, |rec, b| {
        let t = &b.t;
        kernels::cross_entropy(rec, &t[0].view, &t[1].view, &t[2], &t[3].view)
    })
    .tolerance(2e-6, 1e-5)
}

pub fn kl_case(rows: usize, cols: usize) -> Case {
    let mut random = Random((rows + cols) as u64);
    let mut logits = |_| floats(&mut random, rows * cols).iter().map(|x| x * 6.0).collect();
    let (teacher, student): (Vec<f32>, Vec<f32>) = (logits(0), logits(1));
    let weights = floats(&mut random, rows);
    let (mut grads, mut losses) = (Vec::new(), Vec::new());
    let (t, s) = (wide(&teacher), wide(&student));
    for ((t, s), weight) in t.chunks(cols).zip(s.chunks(cols)).zip(wide(&weights)) {
        grads.extend(softmax(s).iter().zip(softmax(t)).map(|(p, q)| (p - q) * weight));
        losses.push(kl(t, s));
    }
    let slots = vec![
        Slot::input("teacher", rows, cols, &teacher),
        Slot::input("weights", 1, rows, &weights),
        Slot::inout("logits", rows, cols, &student, Expect::Floats(grads)),
        Slot::output("loss", 1, rows, Expect::Floats(losses)),
    ];
    Case::new(format!("kl_divergence {rows} x {cols}"), slots, |rec, b| {
        let t = &b.t;
        kernels::kl_divergence(rec, &t[0], &t[1].view, &t[2], &t[3].view)
    })
    .tolerance(5e-6, 1e-5)
}

#[test]
fn losses_agree() {
    let mut cases = Vec::new();
    for cols in [2, 255, 256, 257, 1000] {
        cases.push(cross_entropy_case(3, cols));
        cases.push(kl_case(3, cols));
    }
    // The default model's vocabulary.
    cases.push(cross_entropy_case(2, 49_152));
    cases.push(kl_case(2, 49_152));
    check_all(&Devices::open(), cases);
}
