// gram[0][l, k] = sum_j w[j] x_l[j] x_k[j] and gram[1][l, k] = sum_j w[j] y_l[j] x_k[j], one number a workgroup, over
// strided shares in a fixed order. x and y have r vectors of n numbers: rows of [r, n], or columns of [n, r] where transposed.

struct Params {
    n: u32,
    rank: u32,
    transposed: u32,
    pad: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
// [n]
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> y: array<f32>;
// [2, rank, rank]
@group(0) @binding(4) var<storage, read_write> gram: array<f32>;

#import common/reduce

fn at(vector: u32, j: u32) -> u32 {
    return select(vector * p.n + j, j * p.rank + vector, p.transposed != 0u);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group.x + group.y * groups.x;
    let pairs = p.rank * p.rank;
    let l = index % pairs / p.rank;
    let k = index % p.rank;
    var sum = 0.0;
    for (var j = lane; j < p.n; j += WG) {
        let left = select(x[at(l, j)], y[at(l, j)], index >= pairs);
        sum += w[j] * left * x[at(k, j)];
    }
    let total = reduce_sum(lane, sum);
    if lane == 0u && index < 2u * pairs {
        gram[index] = total;
    }
}
