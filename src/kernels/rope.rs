//! Rotary position embedding: turns pairs of a head's elements by their position's angles (Su et al. 2021).
//!
//! In place. The cosines and sines come as a table, so that any scaling of the angles is the caller's business. The
//! inverse rotation is the gradient's.

use super::launch::{Checks, WG, groups, params};
use super::parallel::for_each_chunk_mut;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::Tensor;

params! {
    rows: u32,
    heads: u32,
    half: u32,
    interleaved: u32,
    sign: f32,
    pad: [u32; 3],
}

/// The kernel of [`rope`].
pub static ROPE: KernelDef = KernelDef {
    name: "rope",
    wgsl: include_str!("../../shaders/rope.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// How many rows are turned, and how a row is made of heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RopeShape {
    /// Rows to turn.
    pub rows: usize,
    /// Heads in a row.
    pub heads: usize,
    /// Elements of a head, an even number.
    pub head_dim: usize,
    /// Pairs are (2i, 2i+1); else (i, i + head_dim / 2).
    pub interleaved: bool,
    /// Turn back.
    pub inverse: bool,
}

/// Turns the first rows of x `[.., heads * head_dim]` by table `[context, head_dim / 2, 2]` (cosine, sine) at the positions
/// that stand first in places `[rows, 2]` (see [`super::rope_store`]).
pub fn rope(
    rec: &mut Recording,
    table: &View,
    places: &View,
    x: &Tensor,
    s: RopeShape,
) -> Result<(), DeviceError> {
    let n = s.rows * s.heads * s.head_dim / 2;
    Checks::new(&ROPE)
        .that(s.head_dim.is_multiple_of(2) && n > 0, "no pairs")
        .that(x.cols == s.heads * s.head_dim, "x's columns are not heads * head_dim")
        .that(s.rows <= x.rows, "rows past the end of x")
        .words("places", places, 2 * s.rows)
        .done()?;
    let params = Params {
        rows: s.rows as u32,
        heads: s.heads as u32,
        half: (s.head_dim / 2) as u32,
        interleaved: u32::from(s.interleaved),
        sign: if s.inverse { -1.0 } else { 1.0 },
        pad: [0; 3],
    };
    let shape = Shape {
        overrides: &[("WG", WG)],
        groups: groups(n.div_ceil(WG as usize)),
        flops: 6 * n as u64,
        ..Shape::default()
    };
    rec.dispatch(&ROPE, &params, &[table.clone(), places.clone(), x.view.clone()], &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (half, heads) = (p.half as usize, p.heads as usize);
    let cols = heads * 2 * half;
    let (table, places) = (call.input::<[f32; 2]>(0), call.input::<[u32; 2]>(1));
    let x = &mut call.output::<f32>(2)[..p.rows as usize * cols];
    let step = (1usize << 14).div_ceil(cols);
    for_each_chunk_mut(x, step * cols, |i, x| {
        for (x, &[position, _]) in x.chunks_mut(cols).zip(&places[i * step..]) {
            let turns = &table[position as usize * half..][..half];
            for head in x.chunks_mut(2 * half) {
                turn_head(turns, p.sign, p.interleaved != 0, head);
            }
        }
    });
}

/// Turns the pairs of one head by their cosines and sines.
pub(super) fn turn_head(turns: &[[f32; 2]], sign: f32, interleaved: bool, head: &mut [f32]) {
    let half = turns.len();
    for (i, &[cosine, sine]) in turns.iter().enumerate() {
        let (first, second) = if interleaved { (2 * i, 2 * i + 1) } else { (i, i + half) };
        let (u, v, sine) = (head[first], head[second], sine * sign);
        head[first] = u * cosine - v * sine;
        head[second] = u * sine + v * cosine;
    }
}
