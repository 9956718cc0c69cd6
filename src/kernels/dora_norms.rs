//! c = m / n and 1 / n for the norms n of the rows of W + s B A: DoRA's factors (Liu et al. 2024, eq. 5), without a row of W.
//!
//! n_i² = ‖W_i‖² + 2 s B_i · (W Aᵀ)_i + s² B_i (A Aᵀ) B_iᵀ: the first term never changes, and the products with A are narrow.
//! A row that is zero has no direction: its c and 1 / n are 0.

use super::launch::{Checks, WG, groups, params};
use super::parallel::for_each_chunk_pair_mut;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::Tensor;

params! {
    outputs: u32,
    rank: u32,
    scale: f32,
    pad: u32,
}

/// The kernel of [`dora_norms`].
pub static DORA_NORMS: KernelDef = KernelDef {
    name: "dora_norms",
    wgsl: include_str!("../../shaders/dora_norms.wgsl"),
    bindings: &[
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Write,
        Access::Write,
    ],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// What the norms are made of.
pub struct NormTerms<'a> {
    /// ‖W_i‖², `[out]`.
    pub squares: &'a View,
    /// A Wᵀ, `[r, out]`.
    pub products: &'a Tensor,
    /// B A Aᵀ, `[out, r]`.
    pub gram: &'a Tensor,
    /// B, `[out, r]`.
    pub b: &'a Tensor,
    /// The magnitudes m, `[out]`.
    pub m: &'a View,
    /// s.
    pub scale: f32,
}

/// c = m / n to `factors` and 1 / n to `inverses`, both `[out]`.
pub fn dora_norms(
    rec: &mut Recording,
    of: NormTerms<'_>,
    factors: &View,
    inverses: &View,
) -> Result<(), DeviceError> {
    let (outputs, rank) = (of.b.rows, of.b.cols);
    Checks::new(&DORA_NORMS)
        .that(outputs * rank > 0, "an empty matrix")
        .words("squares", of.squares, outputs)
        .shape("products", of.products, rank, outputs)
        .shape("gram", of.gram, outputs, rank)
        .words("m", of.m, outputs)
        .words("factors", factors, outputs)
        .words("inverses", inverses, outputs)
        .done()?;
    let params = Params { outputs: outputs as u32, rank: rank as u32, scale: of.scale, pad: 0 };
    let shape = Shape {
        overrides: &[("WG", WG)],
        groups: groups(outputs.div_ceil(WG as usize)),
        flops: (outputs * (4 * rank + 6)) as u64,
        ..Shape::default()
    };
    let inputs = [of.squares, &of.products.view, &of.gram.view, &of.b.view, of.m];
    let views: Vec<View> = inputs.into_iter().chain([factors, inverses]).cloned().collect();
    rec.dispatch(&DORA_NORMS, &params, &views, &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (outputs, rank) = (p.outputs as usize, p.rank as usize);
    let (squares, products) = (call.input::<f32>(0), call.input::<f32>(1));
    let (gram, b, m) = (call.input::<f32>(2), call.input::<f32>(3), call.input::<f32>(4));
    let factors = &mut call.output::<f32>(5)[..outputs];
    let inverses = &mut call.output::<f32>(6)[..outputs];
    const CHUNK: usize = 256;
    for_each_chunk_pair_mut((factors, CHUNK), (inverses, CHUNK), |chunk, factors, inverses| {
        for (i, (factor, inverse)) in (chunk * CHUNK..).zip(factors.iter_mut().zip(inverses)) {
            let row = i * rank..(i + 1) * rank;
            let column = products[i..].iter().step_by(outputs);
            let terms = b[row.clone()].iter().zip(&gram[row]).zip(column);
            let sum: f32 = terms.map(|((b, g), product)| b * (2.0 * product + p.scale * g)).sum();
            let square = squares[i] + p.scale * sum;
            *inverse = if square > 0.0 { 1.0 / square.sqrt() } else { 0.0 };
            *factor = m[i] * *inverse;
        }
    });
}
