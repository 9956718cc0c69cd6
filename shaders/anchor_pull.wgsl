// g += scale * f * (w - anchor), element by element: the gradient of a quadratic penalty around an anchor, each number
// with a stiffness of its own (elastic weight consolidation, Kirkpatrick et al. 2017, eq. 3).

struct Params {
    n: u32,
    scale: f32,
    pad0: u32,
    pad1: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> f: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> anchor: array<f32>;
@group(0) @binding(4) var<storage, read_write> g: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WG + lane;
    if i < p.n {
        g[i] += p.scale * f[i] * (w[i] - anchor[i]);
    }
}
