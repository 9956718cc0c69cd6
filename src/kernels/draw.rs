//! Draws one of a row's most likely ids by temperature and nucleus, so that a sampled token need not visit the host.
//!
//! The nucleus (Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration") is the smallest set of candidates
//! whose probability reaches top_p. The random number comes from the host's seeded generator.

use super::launch::{Checks, params};
use super::top_k::{TOP_K_MAX, top_k_words};
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};

params! {
    k: u32,
    temperature: f32,
    top_p: f32,
    u: f32,
}

/// The kernel of [`draw`].
pub static DRAW: KernelDef = KernelDef {
    name: "draw",
    wgsl: include_str!("../../shaders/draw.wgsl"),
    bindings: &[Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &[],
    links: &[],
    cpu,
};

/// How to draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nucleus {
    /// Divides the logits; positive.
    pub temperature: f32,
    /// Smallest set of candidates whose probability reaches this; 1 keeps all.
    pub top_p: f32,
    /// Uniform in [0, 1).
    pub u: f32,
}

/// id `[1]` (u32) = one of the k candidates in `best`, which is one row of [`super::top_k`]'s result.
pub fn draw(
    rec: &mut Recording,
    best: &View,
    k: usize,
    nucleus: Nucleus,
    id: &View,
) -> Result<(), DeviceError> {
    Checks::new(&DRAW)
        .that((1..=TOP_K_MAX).contains(&k), "k out of range")
        .that(nucleus.temperature > 0.0, "a temperature that is not positive")
        .words("best", best, top_k_words(k))
        .words("id", id, 1)
        .done()?;
    let Nucleus { temperature, top_p, u } = nucleus;
    let params = Params { k: k as u32, temperature, top_p, u };
    let shape = Shape { groups: [1, 1, 1], flops: 3 * k as u64, ..Shape::default() };
    rec.dispatch(&DRAW, &params, &[best.clone(), id.clone()], &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let k = p.k as usize;
    let best = call.input::<u32>(0);
    let logits: Vec<f32> = best[k..2 * k].iter().map(|bits| f32::from_bits(*bits)).collect();
    let nucleus = Nucleus { temperature: p.temperature, top_p: p.top_p, u: p.u };
    call.output::<u32>(1)[0] = best[drawn(&logits, nucleus)];
}

/// The index of the drawn one of `logits`, which are sorted, the largest first.
pub fn drawn(logits: &[f32], nucleus: Nucleus) -> usize {
    let Nucleus { temperature, top_p, u } = nucleus;
    let weights: Vec<f32> =
        logits.iter().map(|logit| ((logit - logits[0]) / temperature).exp()).collect();
    let total: f32 = weights.iter().sum();
    let mut kept = 0.0;
    let mut n = 0;
    while n < weights.len() && (n == 0 || kept < top_p * total) {
        kept += weights[n];
        n += 1;
    }
    let mut at = u * kept;
    for (i, weight) in weights[..n].iter().enumerate() {
        if at < *weight {
            return i;
        }
        at -= weight;
    }
    n - 1
}
