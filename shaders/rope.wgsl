// Rotates pairs of a head's elements by their position's angle, in place (Su et al. 2021).
// Pairs are (2i, 2i+1) where interleaved, else (i, i + half); the inverse rotation is the gradient's.

struct Params {
    rows: u32,
    heads: u32,
    half: u32,
    interleaved: u32,
    // +1, or -1 for the inverse.
    sign: f32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
// [context, half]: cosine and sine.
@group(0) @binding(1) var<storage, read> table: array<vec2<f32>>;
// [rows]: position, and a row that rope_store knows and this kernel does not need.
@group(0) @binding(2) var<storage, read> places: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = (group.x + group.y * groups.x) * WG + lane;
    let i = index % p.half;
    let head = index / p.half;
    let t = head / p.heads;
    if t < p.rows {
        let turn = table[places[t].x * p.half + i];
        let start = head * 2u * p.half;
        let first = start + select(i, 2u * i, p.interleaved != 0u);
        let second = first + select(p.half, 1u, p.interleaved != 0u);
        let u = x[first];
        let v = x[second];
        let sine = turn.y * p.sign;
        x[first] = u * turn.x - v * sine;
        x[second] = u * sine + v * turn.x;
    }
}
