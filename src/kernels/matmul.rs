//! y = x Wᵀ for many rows x: the product of prefill and of training's forward pass.
//!
//! The weights are dequantized once a tile (GPU) or once a panel of rows (CPU); a whole dequantized matrix never
//! exists.

use super::launch::{params, weight_link, weight_type};
use super::panel::for_each_panel;
use super::parallel::{Operand, matrix_product};
use super::product::{LinearShape, check};
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape};
use crate::tensor::{Tensor, Weight};

params! {
    rows: u32,
    n: u32,
    k: u32,
    scales_at: u32,
    y_row: u32,
    y_cols: u32,
    y_col: u32,
    accumulate: u32,
    ty: u32,
    pad: [u32; 3],
}

/// The kernel of [`matmul`].
pub static MATMUL: KernelDef = KernelDef {
    name: "matmul",
    wgsl: include_str!("../../shaders/matmul.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &[],
    links: &["weight"],
    cpu,
};

/// y[row + t, n] (+)= Σ_k x[t, k] w[n, k]; x is `[rows, in]`, w `[out, in]`, y `[.., out]`.
pub fn matmul(
    rec: &mut Recording,
    w: &Weight,
    x: &Tensor,
    y: &Tensor,
    shape: LinearShape,
) -> Result<(), DeviceError> {
    check(&MATMUL, w, x, y, shape)?;
    for part in &w.parts {
        let params = Params {
            rows: x.rows as u32,
            n: part.rows as u32,
            k: w.cols as u32,
            scales_at: part.scales_at,
            y_row: shape.row as u32,
            y_cols: y.cols as u32,
            y_col: part.row as u32,
            accumulate: u32::from(shape.accumulate),
            ty: w.ty.gguf_id(),
            pad: [0; 3],
        };
        let shape = Shape {
            links: &weight_link(w.ty),
            groups: [part.rows.div_ceil(64) as u32, x.rows.div_ceil(64) as u32, 1],
            flops: 2 * (x.rows * part.rows * w.cols) as u64,
            ..Shape::default()
        };
        let views = [part.buffer.view(), x.view.clone(), y.view.clone()];
        rec.dispatch(&MATMUL, &params, &views, &shape)?;
    }
    Ok(())
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rows, k, stride) = (p.rows as usize, p.k as usize, p.y_cols as usize);
    let (words, x) = (call.input::<u32>(0), call.input::<f32>(1));
    let y = &mut call.output::<f32>(2)[p.y_row as usize * stride + p.y_col as usize..];
    let matrix = (weight_type(p.ty), words, p.scales_at as usize);
    for_each_panel(matrix, [p.n as usize, k], |row, panel| {
        let n = panel.len() / k;
        let x = Operand::rows(x, k);
        let panel = Operand::rows(panel, k).t();
        matrix_product([rows, n, k], x, panel, (&mut y[row..], stride), p.accumulate != 0, 1.0);
    });
}
