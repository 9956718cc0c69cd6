//! grad += scale * pᵀ x: the gradient of either half of a LoRA adapter, a sum over tokens.
//!
//! da = duᵀ x is `[r, in]`; db = scale * dyᵀ u is `[out, r]`, which is the same product written transposed.

use super::launch::{Checks, params};
use super::skinny::{self, Few};
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape};
use crate::tensor::Tensor;

params! {
    rows: u32,
    cols: u32,
    rank: u32,
    scale: f32,
    transposed: u32,
    pad: [u32; 3],
}

/// The kernel of [`lora_grad`].
pub static LORA_GRAD: KernelDef = KernelDef {
    name: "lora_grad",
    wgsl: include_str!("../../shaders/lora_grad.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &[],
    links: &[],
    cpu,
};

/// grad[j, i] += scale Σ_t p[t, j] x[t, i]; p is `[rows, r]`, x `[rows, n]`, grad `[r, n]`, or `[n, r]` with
/// grad[i, j] where `transposed`.
pub fn lora_grad(
    rec: &mut Recording,
    p: &Tensor,
    x: &Tensor,
    scale: f32,
    grad: &Tensor,
    transposed: bool,
) -> Result<(), DeviceError> {
    let (rank, n) = (p.cols, x.cols);
    let (grad_rows, grad_cols) = if transposed { (n, rank) } else { (rank, n) };
    Checks::new(&LORA_GRAD)
        .that(p.rows * rank * n > 0, "an empty matrix")
        .shape("x", x, p.rows, n)
        .shape("grad", grad, grad_rows, grad_cols)
        .done()?;
    let params = Params {
        rows: p.rows as u32,
        cols: n as u32,
        rank: rank as u32,
        scale,
        transposed: u32::from(transposed),
        pad: [0; 3],
    };
    let shape = Shape {
        groups: [n.div_ceil(16) as u32, rank.div_ceil(16) as u32, 1],
        flops: 2 * (p.rows * rank * n) as u64,
        ..Shape::default()
    };
    rec.dispatch(&LORA_GRAD, &params, &[p.view.clone(), x.view.clone(), grad.view.clone()], &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rows, n, rank) = (p.rows as usize, p.cols as usize, p.rank as usize);
    let left = Few { data: call.input(0), dims: [rows, rank] };
    let x = &call.input::<f32>(1)[..rows * n];
    let grad = &mut call.output::<f32>(2)[..rank * n];
    skinny::gather(left, x, p.scale, grad, p.transposed != 0);
}
