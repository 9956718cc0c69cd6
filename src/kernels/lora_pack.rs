//! A and s B of a LoRA pair in half floats, in the order in which decoding reads them.
//!
//! A is `[wide, in]`, row by row; B is `[out / 4, wide, 4]`: the four rows that a workgroup writes stand side by side. The
//! ranks past the adapter's are zeros. Numbers past 65504 become that.

use super::launch::{Checks, WG, groups, params};
use super::parallel::for_each_chunk_mut;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};
use crate::tensor::Tensor;

params! {
    rank: u32,
    wide: u32,
    inputs: u32,
    outputs: u32,
    scale: f32,
    pad: [u32; 3],
}

/// The kernel of [`lora_pack`].
pub static LORA_PACK: KernelDef = KernelDef {
    name: "lora_pack",
    wgsl: include_str!("../../shaders/lora_pack.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// Ranks in the copy of an adapter of rank `rank`.
pub fn packed_rank(rank: usize) -> usize {
    rank.next_multiple_of(4)
}

/// Writes a `[r, in]` and `scale` times b `[out, r]` to `halves`, `(in + out) / 4` fours a rank of [`packed_rank`].
pub fn lora_pack(
    rec: &mut Recording,
    a: &Tensor,
    b: &Tensor,
    scale: f32,
    halves: &View,
) -> Result<(), DeviceError> {
    let (rank, wide) = (a.rows, packed_rank(a.rows));
    let fours = wide * (a.cols + b.rows) / 4;
    Checks::new(&LORA_PACK)
        .that(a.cols.is_multiple_of(4) && b.rows.is_multiple_of(4), "sizes are no multiples of 4")
        .that(fours > 0, "an empty matrix")
        .shape("b", b, b.rows, rank)
        .words("halves", halves, 2 * fours)
        .done()?;
    let params = Params {
        rank: rank as u32,
        wide: wide as u32,
        inputs: a.cols as u32,
        outputs: b.rows as u32,
        scale,
        pad: [0; 3],
    };
    let shape = Shape {
        overrides: &[("WG", WG)],
        groups: groups(fours.div_ceil(WG as usize)),
        flops: 4 * fours as u64,
        ..Shape::default()
    };
    rec.dispatch(&LORA_PACK, &params, &[a.view.clone(), b.view.clone(), halves.clone()], &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (rank, wide) = (p.rank as usize, p.wide as usize);
    let (inputs, outputs) = (p.inputs as usize, p.outputs as usize);
    let (a, b) = (&call.input::<f32>(0)[..rank * inputs], call.input::<f32>(1));
    let halves = &mut call.output::<u16>(2)[..wide * (inputs + outputs)];
    let (to_a, to_b) = halves.split_at_mut(wide * inputs);
    const STEP: usize = 1 << 14;
    for_each_chunk_mut(to_a, STEP, |i, halves| {
        let a = a.get(i * STEP..).unwrap_or(&[]);
        let padded = a.iter().copied().chain(std::iter::repeat(0.0));
        halves.iter_mut().zip(padded).for_each(|(half, value)| *half = pack(value));
    });
    let fours = STEP.div_ceil(4 * wide);
    for_each_chunk_mut(to_b, 4 * wide * fours, |i, halves| {
        for (four, halves) in (i * fours..).zip(halves.chunks_mut(4 * wide)) {
            for (at, half) in halves.iter_mut().enumerate() {
                let (j, row) = (at / 4, 4 * four + at % 4);
                *half = if j < rank { pack(p.scale * b[row * rank + j]) } else { 0 };
            }
        }
    });
}

fn pack(value: f32) -> u16 {
    half::f16::from_f32(value.clamp(-65504.0, 65504.0)).to_bits()
}
