//! One step of AdamW on flat buffers (Loshchilov & Hutter 2019), with clipping by the global norm.
//!
//! All parameters of an adapter are one buffer, so a step is one dispatch. The norm is read on the device: nothing is
//! read back between the backward pass and the step.

use super::launch::{Checks, WG, groups, params};
use super::parallel::{for_each_chunk_mut, for_each_chunk_pair_mut};
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};

params! {
    n: u32,
    lr: f32,
    beta1: f32,
    beta2: f32,
    eps: f32,
    weight_decay: f32,
    clip: f32,
    correct1: f32,
    correct2: f32,
    ratio: f32,
    period: u32,
    at: u32,
    spans: [[u32; 4]; 4],
}

/// The kernel of [`adamw`].
pub static ADAMW: KernelDef = KernelDef {
    name: "adamw",
    wgsl: include_str!("../../shaders/adamw.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write, Access::Write, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// The numbers of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Learning rate.
    pub lr: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the square root of the second moment.
    pub eps: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// The step's number, from 1.
    pub step: u32,
    /// The longest gradient, as its norm; 0 for any.
    pub clip: f32,
    /// Parameters.
    pub n: usize,
    /// Those of them that have a rate of their own, if any.
    pub faster: Option<Faster>,
}

/// Parameters that learn `ratio` times as fast as the rest (LoRA+, Hayou et al. 2024): the same places of each period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Faster {
    /// The factor on the learning rate.
    pub ratio: f32,
    /// Values after which the places come again.
    pub period: usize,
    /// Where the first parameter is, counted from a period's start.
    pub at: usize,
    /// The places, first and behind the last, in rising order; empty ones are nowhere.
    pub spans: [[usize; 2]; 7],
}

impl Faster {
    /// No place is faster.
    const NONE: Faster = Faster { ratio: 1.0, period: 1, at: 0, spans: [[0; 2]; 7] };

    fn params(&self) -> [[u32; 4]; 4] {
        let mut spans = [[0; 4]; 4];
        for (i, [first, end]) in self.spans.into_iter().enumerate() {
            spans[i / 2][2 * (i % 2)] = first as u32;
            spans[i / 2][2 * (i % 2) + 1] = end as u32;
        }
        spans
    }
}

/// p, m and v `[n]` after a step with gradient g `[n]`; norm `[1]` is the sum of g's squares.
pub fn adamw(
    rec: &mut Recording,
    g: &View,
    norm: &View,
    p: &View,
    m: &View,
    v: &View,
    s: AdamW,
) -> Result<(), DeviceError> {
    Checks::new(&ADAMW)
        .that(s.step > 0 && s.n > 0, "steps count from 1, and something must be trained")
        .that(s.faster.is_none_or(|faster| faster.period > 0), "a period of nothing")
        .words("g", g, s.n)
        .words("norm", norm, 1)
        .words("p", p, s.n)
        .words("m", m, s.n)
        .words("v", v, s.n)
        .done()?;
    let faster = s.faster.unwrap_or(Faster::NONE);
    // In f64: 1 - beta^step loses most of its digits in f32 while steps are few.
    let correct = |beta: f32| (1.0 / (1.0 - f64::from(beta).powf(f64::from(s.step)))) as f32;
    let params = Params {
        n: s.n as u32,
        lr: s.lr,
        beta1: s.beta1,
        beta2: s.beta2,
        eps: s.eps,
        weight_decay: s.weight_decay,
        clip: s.clip,
        correct1: correct(s.beta1),
        correct2: correct(s.beta2),
        ratio: faster.ratio,
        period: faster.period as u32,
        at: faster.at as u32,
        spans: faster.params(),
    };
    let shape = Shape {
        overrides: &[("WG", WG)],
        groups: groups(s.n.div_ceil(WG as usize)),
        flops: 20 * s.n as u64,
        ..Shape::default()
    };
    rec.dispatch(&ADAMW, &params, &[g, norm, p, m, v].map(View::clone), &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let n = p.n as usize;
    let (g, norm) = (&call.input::<f32>(0)[..n], call.input::<f32>(1)[0]);
    let clipped = p.clip > 0.0 && norm > p.clip * p.clip;
    let shrink = if clipped { p.clip / norm.sqrt() } else { 1.0 };
    let w = &mut call.output::<f32>(2)[..n];
    let (m, v) = (&mut call.output::<f32>(3)[..n], &mut call.output::<f32>(4)[..n]);
    const CHUNK: usize = 1 << 14;
    for_each_chunk_pair_mut((&mut *m, CHUNK), (&mut *v, CHUNK), |i, m, v| {
        for ((m, v), g) in m.iter_mut().zip(v).zip(&g[i * CHUNK..]) {
            let grad = g * shrink;
            *m = p.beta1 * *m + (1.0 - p.beta1) * grad;
            *v = p.beta2 * *v + (1.0 - p.beta2) * grad * grad;
        }
    });
    for_each_chunk_mut(w, CHUNK, |i, w| {
        let mut at = 0;
        while at < w.len() {
            let (rate, run) = rate_at(&p, i * CHUNK + at);
            let end = (at + run).min(w.len());
            let moments = m[i * CHUNK + at..].iter().zip(&v[i * CHUNK + at..]);
            for (w, (m, v)) in w[at..end].iter_mut().zip(moments) {
                let direction = m * p.correct1 / ((v * p.correct2).sqrt() + p.eps);
                *w -= rate * (direction + p.weight_decay * *w);
            }
            at = end;
        }
    });
}

/// The learning rate of parameter `i`, and how many from it on have the same.
fn rate_at(p: &Params, i: usize) -> (f32, usize) {
    let period = p.period as usize;
    let place = (p.at as usize + i) % period;
    let spans = p.spans.as_flattened().chunks(2).map(|span| [span[0], span[1]].map(|x| x as usize));
    let mut end = period;
    for [first, after] in spans.filter(|[first, after]| first < after) {
        if (first..after).contains(&place) {
            return (p.ratio * p.lr, after - place);
        }
        if place < first {
            end = end.min(first);
        }
    }
    // A period without faster places is one run.
    if p.ratio == 1.0 { (p.lr, usize::MAX / 2) } else { (p.lr, end - place) }
}
