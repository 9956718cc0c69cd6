//! y += scale * u bᵀ: the wide half of a LoRA adapter, added to the frozen layer's product.
//!
//! It adds to rows from `row` on, as the frozen product before it wrote them.

use super::launch::{Checks, params};
use super::skinny;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape};
use crate::tensor::Tensor;

params! {
    rows: u32,
    cols: u32,
    rank: u32,
    row: u32,
    scale: f32,
    pad: [u32; 3],
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

/// How an adapter's product is added.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoraShape {
    /// alpha / r (LoRA) or alpha / sqrt(r) (rsLoRA).
    pub scale: f32,
    /// The first row of y.
    pub row: usize,
}

/// y[row + t, n] += scale Σ_j u[t, j] b[n, j]; u is `[rows, r]`, b `[out, r]`, y `[.., out]`.
pub fn lora_b(
    rec: &mut Recording,
    u: &Tensor,
    b: &Tensor,
    y: &Tensor,
    s: LoraShape,
) -> Result<(), DeviceError> {
    Checks::new(&LORA_B)
        .that(u.rows * u.cols * b.rows > 0, "an empty matrix")
        .shape("b", b, y.cols, u.cols)
        .that(s.row + u.rows <= y.rows, "rows past the end of y")
        .done()?;
    let params = Params {
        rows: u.rows as u32,
        cols: y.cols as u32,
        rank: u.cols as u32,
        row: s.row as u32,
        scale: s.scale,
        pad: [0; 3],
    };
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
    let (u, b) = (call.input::<f32>(0), call.input::<f32>(1));
    let y = &mut call.output::<f32>(2)[p.row as usize * cols..][..rows * cols];
    skinny::transposed(b, [cols, rank], |b| skinny::add_rows(u, b, [cols, rank], p.scale, y));
}
