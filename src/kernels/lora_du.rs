//! du = scale * dy b: the gradient between the halves of a LoRA adapter.
//!
//! forward: y += scale * u bᵀ. Every other gradient of the adapter but b's starts from du.

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

/// The kernel of [`lora_du`].
pub static LORA_DU: KernelDef = KernelDef {
    name: "lora_du",
    wgsl: include_str!("../../shaders/lora_du.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &[],
    links: &[],
    cpu,
};

/// du `[rows, r]` = scale * dy `[rows, out]` times b `[out, r]`.
pub fn lora_du(
    rec: &mut Recording,
    dy: &Tensor,
    b: &Tensor,
    scale: f32,
    du: &Tensor,
) -> Result<(), DeviceError> {
    let rank = b.cols;
    Checks::new(&LORA_DU)
        .that(dy.rows * dy.cols * rank > 0, "an empty matrix")
        .shape("b", b, dy.cols, rank)
        .shape("du", du, dy.rows, rank)
        .done()?;
    let params = Params { rows: dy.rows as u32, cols: dy.cols as u32, rank: rank as u32, scale };
    let shape = Shape {
        groups: [dy.rows.div_ceil(4) as u32, rank.div_ceil(16) as u32, 1],
        flops: 2 * (dy.rows * dy.cols * rank) as u64,
        ..Shape::default()
    };
    rec.dispatch(&LORA_DU, &params, &[dy.view.clone(), b.view.clone(), du.view.clone()], &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rows, cols, rank) = (p.rows as usize, p.cols as usize, p.rank as usize);
    let (dy, b) = (call.input::<f32>(0), Few { data: call.input(1), dims: [cols, rank] });
    skinny::dots(dy, b, false, p.scale, &mut call.output(2)[..rows * rank]);
}
