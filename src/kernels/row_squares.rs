//! squares = Σ_k w², row by row: the squared norms of a frozen matrix's rows, from its packed blocks.
//!
//! DoRA needs them once for a model: what an adapter adds to them is `dora_norms`'.

use super::lanes;
use super::launch::{Checks, groups, params, weight_link, weight_type};
use super::parallel::for_each_chunk_mut;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::quant::pack::{Planes, dequantize_blocks};
use crate::tensor::Weight;
use multiversion::multiversion;

params! {
    n: u32,
    cols: u32,
    at: u32,
    scales_at: u32,
    ty: u32,
    pad: [u32; 3],
}

/// The kernel of [`row_squares`].
pub static ROW_SQUARES: KernelDef = KernelDef {
    name: "row_squares",
    wgsl: include_str!("../../shaders/row_squares.wgsl"),
    bindings: &[Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &["weight"],
    cpu,
};

/// squares[i] = Σ_k w[i, k]²; w is `[out, in]`, squares `[out]`.
pub fn row_squares(rec: &mut Recording, w: &Weight, squares: &View) -> Result<(), DeviceError> {
    Checks::new(&ROW_SQUARES).words("squares", squares, w.rows).done()?;
    for part in &w.parts {
        let params = Params {
            n: part.rows as u32,
            cols: w.cols as u32,
            at: part.row as u32,
            scales_at: part.scales_at,
            ty: w.ty.gguf_id(),
            pad: [0; 3],
        };
        let shape = Shape {
            links: &weight_link(w.ty),
            overrides: &[("WG", 64)],
            groups: groups(part.rows),
            flops: 2 * (part.rows * w.cols) as u64,
        };
        rec.dispatch(&ROW_SQUARES, &params, &[part.buffer.view(), squares.clone()], &shape)?;
    }
    Ok(())
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (n, cols) = (p.n as usize, p.cols as usize);
    let (ty, scales_at) = (weight_type(p.ty), p.scales_at as usize);
    let w = Planes { ty, words: call.input(0), scales_at };
    let squares = &mut call.output::<f32>(1)[p.at as usize..][..n];
    let step = (1usize << 14).div_ceil(cols);
    for_each_chunk_mut(squares, step, |i, squares| {
        let mut row = vec![0.0; cols];
        for (j, square) in (i * step..).zip(squares) {
            dequantize_blocks(&w, j * (cols / 32), &mut row);
            *square = square_of(&row);
        }
    });
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn square_of(row: &[f32]) -> f32 {
    lanes::dot(row, row)
}
