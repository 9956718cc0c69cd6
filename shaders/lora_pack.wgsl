// A and s B of an adapter's pair in half floats, as decoding reads them: A row by row, then B by fours of its rows, rank
// after rank; zeros beyond the rank. One thread a four.

struct Params {
    rank: u32,
    // Ranks in the copy, a multiple of 4.
    wide: u32,
    // Columns of A, and rows of B.
    inputs: u32,
    outputs: u32,
    scale: f32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
// [rank, inputs]
@group(0) @binding(1) var<storage, read> a: array<f32>;
// [outputs, rank]
@group(0) @binding(2) var<storage, read> b: array<f32>;
// [wide, inputs / 4], [outputs / 4, wide]
@group(0) @binding(3) var<storage, read_write> halves: array<vec2<u32>>;

// Half floats end at 65504.
fn pack(four: vec4<f32>) -> vec2<u32> {
    let most = vec4<f32>(65504.0);
    let held = clamp(four, -most, most);
    return vec2<u32>(pack2x16float(held.xy), pack2x16float(held.zw));
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WG + lane;
    let a_fours = p.wide * p.inputs / 4u;
    if i < a_fours {
        var four = vec4<f32>();
        if 4u * i < p.rank * p.inputs {
            four = vec4<f32>(a[4u * i], a[4u * i + 1u], a[4u * i + 2u], a[4u * i + 3u]);
        }
        halves[i] = pack(four);
    } else if i < a_fours + p.wide * p.outputs / 4u {
        let j = (i - a_fours) % p.wide;
        let at = (i - a_fours) / p.wide * 4u * p.rank + j;
        var four = vec4<f32>();
        if j < p.rank {
            four = vec4<f32>(b[at], b[at + p.rank], b[at + 2u * p.rank], b[at + 3u * p.rank]);
        }
        halves[i] = pack(p.scale * four);
    }
}
