//! dx += du a: what a LoRA adapter adds to its layer's input gradient.
//!
//! forward: u = x aᵀ. It adds to what the frozen weight's gradient wrote.

use super::launch::{Checks, params};
use super::skinny::{self, Few};
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape};
use crate::tensor::Tensor;

params! {
    rows: u32,
    cols: u32,
    rank: u32,
    pad: u32,
}

/// The kernel of [`lora_dx`].
pub static LORA_DX: KernelDef = KernelDef {
    name: "lora_dx",
    wgsl: include_str!("../../shaders/lora_dx.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &[],
    links: &[],
    cpu,
};

/// dx `[rows, in]` += du `[rows, r]` times a `[r, in]`.
pub fn lora_dx(
    rec: &mut Recording,
    du: &Tensor,
    a: &Tensor,
    dx: &Tensor,
) -> Result<(), DeviceError> {
    Checks::new(&LORA_DX)
        .that(du.rows * du.cols * a.cols > 0, "an empty matrix")
        .shape("a", a, du.cols, a.cols)
        .shape("dx", dx, du.rows, a.cols)
        .done()?;
    let params = Params { rows: du.rows as u32, cols: a.cols as u32, rank: a.rows as u32, pad: 0 };
    let shape = Shape {
        groups: [du.rows.div_ceil(4) as u32, a.cols.div_ceil(64) as u32, 1],
        flops: 2 * (du.rows * du.cols * a.cols) as u64,
        ..Shape::default()
    };
    rec.dispatch(&LORA_DX, &params, &[du.view.clone(), a.view.clone(), dx.view.clone()], &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rows, cols, rank) = (p.rows as usize, p.cols as usize, p.rank as usize);
    let (du, a) = (call.input::<f32>(0), Few { data: call.input(1), dims: [rank, cols] });
    skinny::add_rows(du, a, false, 1.0, &mut call.output(2)[..rows * cols]);
}
