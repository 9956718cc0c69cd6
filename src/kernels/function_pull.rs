//! The gradient of the function-space penalty on one half of a LoRA adapter, from `weighted_gram` of the other half.
//!
//! With D = B A - B* A*, input second moments a and output ones g, the penalty is λ/2 s² Σ_ij g_i a_j D_ij². Its gradients are
//! dB = λ s² diag(g) (B (A diag(a) Aᵀ) - B* (A* diag(a) Aᵀ)) and dA = λ s² ((Bᵀ diag(g) B) A - (Bᵀ diag(g) B*) A*) diag(a):
//! one form for both halves, with x the half, y its anchor, w its own moments and the other half's Gram matrices.
//! Invariant: where both halves are at their anchors, nothing is pulled but by rounding.

use super::launch::{Checks, WG, groups, params};
use super::parallel::for_each_chunk_mut;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};

params! {
    n: u32,
    rank: u32,
    transposed: u32,
    scale: f32,
}

/// The kernel of [`function_pull`].
pub static FUNCTION_PULL: KernelDef = KernelDef {
    name: "function_pull",
    wgsl: include_str!("../../shaders/function_pull.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// One half of an adapter: its vectors, their anchors, the weights of their numbers, and the other half's Gram matrices.
pub struct Half<'a> {
    /// `[n]`
    pub w: &'a View,
    /// `[r, n]`, transposed `[n, r]`
    pub x: &'a View,
    /// The anchor, as x.
    pub y: &'a View,
    /// `[2, r, r]`
    pub gram: &'a View,
    /// `[r, n]`
    pub dims: [usize; 2],
    /// Whether x, y and the gradient are `[n, r]`.
    pub transposed: bool,
}

/// grad_k[j] += scale · w_j Σ_l (x_l[j] gram[0][l, k] - y_l[j] gram[1][l, k]).
pub fn function_pull(
    rec: &mut Recording,
    half: &Half<'_>,
    grad: &View,
    scale: f32,
) -> Result<(), DeviceError> {
    let Half { w, x, y, gram, dims: [rank, n], transposed } = *half;
    Checks::new(&FUNCTION_PULL)
        .that(rank * n > 0, "an empty matrix")
        .words("w", w, n)
        .words("x", x, rank * n)
        .words("y", y, rank * n)
        .words("gram", gram, 2 * rank * rank)
        .words("grad", grad, rank * n)
        .done()?;
    let transposed = u32::from(transposed);
    let params = Params { n: n as u32, rank: rank as u32, transposed, scale };
    let shape = Shape {
        overrides: &[("WG", WG)],
        groups: groups((rank * n).div_ceil(WG as usize)),
        flops: 4 * (n * rank * rank) as u64,
        ..Shape::default()
    };
    rec.dispatch(&FUNCTION_PULL, &params, &[w, x, y, gram, grad].map(View::clone), &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (n, rank, transposed) = (p.n as usize, p.rank as usize, p.transposed != 0);
    let [w, x, y, gram] = [0, 1, 2, 3].map(|i| call.input::<f32>(i));
    let at = |vector: usize, j: usize| if transposed { j * rank + vector } else { vector * n + j };
    const CHUNK: usize = 1 << 12;
    for_each_chunk_mut(&mut call.output::<f32>(4)[..rank * n], CHUNK, |chunk, grad| {
        for (i, grad) in (chunk * CHUNK..).zip(grad) {
            let (k, j) = if transposed { (i % rank, i / rank) } else { (i / n, i % n) };
            let term = |l: usize| {
                let anchored = y[at(l, j)] * gram[(rank + l) * rank + k];
                x[at(l, j)] * gram[l * rank + k] - anchored
            };
            *grad += p.scale * w[j] * (0..rank).map(term).sum::<f32>();
        }
    });
}
