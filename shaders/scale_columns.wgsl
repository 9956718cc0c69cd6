// y[t, j] *= c[j]: the factors of a linear's outputs or inputs, in place, row by row. One thread an element.

struct Params {
    rows: u32,
    cols: u32,
    pad0: u32,
    pad1: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> c: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WG + lane;
    if i < p.rows * p.cols {
        y[i] *= c[i % p.cols];
    }
}
