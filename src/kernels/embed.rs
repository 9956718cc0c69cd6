//! y[t] = row tokens[t] of the embedding matrix, dequantized.
//!
//! One dispatch a part of the matrix: each writes the tokens whose rows it holds and leaves the others alone.

use super::launch::{Checks, groups, params, weight_link, weight_type};
use super::parallel::for_each_chunk_mut;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::quant::pack::{Planes, dequantize_blocks};
use crate::tensor::{Tensor, Weight};

params! {
    rows: u32,
    cols: u32,
    row: u32,
    n: u32,
    scales_at: u32,
    ty: u32,
    pad: [u32; 2],
}

/// The kernel of [`embed`].
pub static EMBED: KernelDef = KernelDef {
    name: "embed",
    wgsl: include_str!("../../shaders/embed.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &["weight"],
    cpu,
};

/// y `[rows, d]` = the rows of table `[vocabulary, d]` at tokens `[rows]`.
pub fn embed(
    rec: &mut Recording,
    table: &Weight,
    tokens: &View,
    y: &Tensor,
) -> Result<(), DeviceError> {
    Checks::new(&EMBED).shape("y", y, y.rows, table.cols).words("tokens", tokens, y.rows).done()?;
    for part in &table.parts {
        let params = Params {
            rows: y.rows as u32,
            cols: table.cols as u32,
            row: part.row as u32,
            n: part.rows as u32,
            scales_at: part.scales_at,
            ty: table.ty.gguf_id(),
            pad: [0; 2],
        };
        let shape = Shape {
            links: &weight_link(table.ty),
            overrides: &[("WG", 64)],
            groups: groups(y.rows),
            flops: 2 * (y.rows * y.cols) as u64,
        };
        let views = [part.buffer.view(), tokens.clone(), y.view.clone()];
        rec.dispatch(&EMBED, &params, &views, &shape)?;
    }
    Ok(())
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let cols = p.cols as usize;
    let (words, tokens) = (call.input::<u32>(0), call.input::<u32>(1));
    let planes = Planes { ty: weight_type(p.ty), words, scales_at: p.scales_at as usize };
    let step = (1usize << 14).div_ceil(cols);
    let y = &mut call.output::<f32>(2)[..p.rows as usize * cols];
    for_each_chunk_mut(y, step * cols, |i, y| {
        for (y, &token) in y.chunks_mut(cols).zip(&tokens[i * step..]) {
            let row = token.wrapping_sub(p.row);
            if row < p.n {
                dequantize_blocks(&planes, row as usize * (cols / 32), y);
            }
        }
    });
}
