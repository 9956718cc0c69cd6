// total = the sum of x, by one workgroup in a fixed order, so that the same numbers give
// the same sum. It ends the reductions that begin with partial sums.

struct Params {
    n: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> total: array<f32>;

#import common/reduce

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lane: u32) {
    var share = 0.0;
    for (var i = lane; i < p.n; i += WG) {
        share += x[i];
    }
    let all = reduce_sum(lane, share);
    if lane == 0u {
        total[0] = all;
    }
}
