//! u = x aᵀ: the narrow half of a LoRA adapter (Hu et al. 2021).
//!
//! The columns are many and the ranks few, so the sum over columns is what is split over lanes.

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

/// The kernel of [`lora_a`].
pub static LORA_A: KernelDef = KernelDef {
    name: "lora_a",
    wgsl: include_str!("../../shaders/lora_a.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &[],
    links: &[],
    cpu,
};

/// u `[rows, r]` = x `[rows, in]` times aᵀ, a `[r, in]`.
pub fn lora_a(rec: &mut Recording, x: &Tensor, a: &Tensor, u: &Tensor) -> Result<(), DeviceError> {
    let rank = a.rows;
    Checks::new(&LORA_A)
        .that(x.rows * x.cols * rank > 0, "an empty matrix")
        .shape("a", a, rank, x.cols)
        .shape("u", u, x.rows, rank)
        .done()?;
    let params = Params { rows: x.rows as u32, cols: x.cols as u32, rank: rank as u32, pad: 0 };
    let shape = Shape {
        groups: [x.rows.div_ceil(4) as u32, rank.div_ceil(16) as u32, 1],
        flops: 2 * (x.rows * x.cols * rank) as u64,
        ..Shape::default()
    };
    rec.dispatch(&LORA_A, &params, &[x.view.clone(), a.view.clone(), u.view.clone()], &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rows, cols, rank) = (p.rows as usize, p.cols as usize, p.rank as usize);
    let (x, a) = (call.input::<f32>(0), Few { data: call.input(1), dims: [rank, cols] });
    skinny::dots(x, a, true, 1.0, &mut call.output(2)[..rows * rank]);
}
