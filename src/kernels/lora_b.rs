//! y += scale * u bᵀ: the wide half of a LoRA adapter, added to the frozen layer's product.
//!
//! The frozen product before it wrote y.

use super::launch::{Checks, params};
use super::skinny::{self, Few};
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape};
use crate::tensor::Tensor;

params! {
    rows: u32,
    cols: u32,
    rank: u32,
    scale: f32,
}

/// The kernel of [`lora_b`].
pub static LORA_B: KernelDef = KernelDef {
    name: "lora_b",
    wgsl: include_str!("../../shaders/lora_b.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &[],
    links: &[],
    cpu,
};

/// y[t, n] += scale Σ_j u[t, j] b[n, j]; u is `[rows, r]`, b `[out, r]`, y `[rows, out]`; the scale is alpha / r (LoRA) or
/// alpha / sqrt(r) (rsLoRA).
pub fn lora_b(
    rec: &mut Recording,
    u: &Tensor,
    b: &Tensor,
    scale: f32,
    y: &Tensor,
) -> Result<(), DeviceError> {
    Checks::new(&LORA_B)
        .that(u.rows * u.cols * b.rows > 0, "an empty matrix")
        .shape("b", b, y.cols, u.cols)
        .shape("y", y, u.rows, y.cols)
        .done()?;
    let params = Params { rows: u.rows as u32, cols: y.cols as u32, rank: u.cols as u32, scale };
    let shape = Shape {
        groups: [u.rows.div_ceil(4) as u32, y.cols.div_ceil(64) as u32, 1],
        flops: 2 * (u.rows * u.cols * y.cols) as u64,
        ..Shape::default()
    };
    rec.dispatch(&LORA_B, &params, &[u.view.clone(), b.view.clone(), y.view.clone()], &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rows, cols, rank) = (p.rows as usize, p.cols as usize, p.rank as usize);
    let (u, b) = (call.input::<f32>(0), Few { data: call.input(1), dims: [cols, rank] });
    skinny::add_rows(u, b, true, p.scale, &mut call.output(2)[..rows * cols]);
}
