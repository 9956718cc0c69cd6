// g = g projected off h, plus h: where g · h < 0 the part of g that works against h is taken out before both add up
// (asymmetric PCGrad, Yu et al. 2020, algorithm 1; with a memory's gradient as h it is A-GEM, Chaudhry et al. 2019, eq. 11).

struct Params {
    n: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> h: array<f32>;
// One number: g · h.
@group(0) @binding(2) var<storage, read> product: array<f32>;
// One number: h · h.
@group(0) @binding(3) var<storage, read> square: array<f32>;
@group(0) @binding(4) var<storage, read_write> g: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WG + lane;
    if i < p.n {
        var share = 1.0;
        if product[0] < 0.0 && square[0] > 0.0 {
            share -= product[0] / square[0];
        }
        g[i] += share * h[i];
    }
}
