//! The k largest logits of each row with their ids, and the row's log-sum-exp: what sampling needs of a vocabulary.
//!
//! A row of the result is k ids (u32), k logits (f32 bits, descending; the lower id first where equal) and the
//! log-sum-exp (f32 bits), [`top_k_words`] words. So a few hundred bytes are read back instead of the logits.

use super::launch::{Checks, WG, groups, params};
use super::parallel::for_each_chunk_mut;
use super::softmax::peak_and_total;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::Tensor;

params! {
    rows: u32,
    cols: u32,
    k: u32,
    pad: u32,
}

/// The kernel of [`top_k`].
pub static TOP_K: KernelDef = KernelDef {
    name: "top_k",
    wgsl: include_str!("../../shaders/top_k.wgsl"),
    bindings: &[Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// The largest k.
pub const TOP_K_MAX: usize = 64;

/// Words of one row of the result.
pub fn top_k_words(k: usize) -> usize {
    2 * k + 1
}

/// out `[rows, top_k_words(k)]` (u32) from logits `[rows, vocabulary]`; k is 1 to 64 and at most the vocabulary.
pub fn top_k(
    rec: &mut Recording,
    logits: &Tensor,
    k: usize,
    out: &View,
) -> Result<(), DeviceError> {
    Checks::new(&TOP_K)
        .that(logits.rows > 0 && (1..=TOP_K_MAX.min(logits.cols)).contains(&k), "k out of range")
        .words("out", out, logits.rows * top_k_words(k))
        .done()?;
    let params = Params { rows: logits.rows as u32, cols: logits.cols as u32, k: k as u32, pad: 0 };
    let shape = Shape {
        overrides: &[("WG", WG)],
        groups: groups(logits.rows),
        flops: 20 * (logits.rows * logits.cols) as u64,
        ..Shape::default()
    };
    rec.dispatch(&TOP_K, &params, &[logits.view.clone(), out.clone()], &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (cols, k) = (p.cols as usize, p.k as usize);
    let words = top_k_words(k);
    let logits = call.input::<f32>(0);
    for_each_chunk_mut(&mut call.output::<u32>(1)[..p.rows as usize * words], words, |row, out| {
        let logits = &logits[row * cols..][..cols];
        let mut ids: Vec<u32> = (0..p.cols).collect();
        let order = |a: &u32, b: &u32| {
            let by_logit = logits[*b as usize].total_cmp(&logits[*a as usize]);
            by_logit.then(a.cmp(b))
        };
        if k < cols {
            ids.select_nth_unstable_by(k - 1, order);
        }
        ids.truncate(k);
        ids.sort_unstable_by(order);
        out[..k].copy_from_slice(&ids);
        for (out, id) in out[k..2 * k].iter_mut().zip(&ids) {
            *out = logits[*id as usize].to_bits();
        }
        let (peak, total) = peak_and_total(logits);
        out[2 * k] = (peak + total.ln()).to_bits();
    });
}
