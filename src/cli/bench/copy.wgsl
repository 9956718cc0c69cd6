// y = x, four vectors a lane: the memory bandwidth that other kernels are held against. `n` vectors, whole tiles or not.

struct Params {
    n: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    for (var i = 0u; i < 4u; i += 1u) {
        let at = (group.x * 4u + i) * WG + lane;
        if at < p.n {
            y[at] = x[at];
        }
    }
}
