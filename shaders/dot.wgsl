// Partial sums of a · b, one a workgroup, over strided shares in a fixed order; `sum` adds them up.

struct Params {
    n: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

#import common/reduce

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var product = 0.0;
    for (var i = group.x * WG + lane; i < p.n; i += groups.x * WG) {
        product += a[i] * b[i];
    }
    let total = reduce_sum(lane, product);
    if lane == 0u {
        partials[group.x] = total;
    }
}
