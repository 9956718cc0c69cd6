// Scatters rows: y[rows[i]] = x[i], the inverse of a gather. No two entries of `rows` are the same.
// One thread moves four values.

struct Params {
    n: u32,
    cols4: u32,
    pad0: u32,
    pad1: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [n, cols]
@group(0) @binding(2) var<storage, read> rows: array<u32>; // [n]
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>; // [more, cols]

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * WG;
    if i < p.n * p.cols4 {
        let row = i / p.cols4;
        y[rows[row] * p.cols4 + i % p.cols4] = x[i];
    }
}
