// grad_k[j] += scale * w[j] * sum_l (x_l[j] gram[0][l, k] - y_l[j] gram[1][l, k]), one thread a number: the gradient of the
// function-space penalty on one half of an adapter. x, y and grad have r vectors of n numbers: rows of [r, n], or columns of
// [n, r] where transposed.

struct Params {
    n: u32,
    rank: u32,
    transposed: u32,
    scale: f32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
// [n]
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> y: array<f32>;
// [2, rank, rank]
@group(0) @binding(4) var<storage, read> gram: array<f32>;
@group(0) @binding(5) var<storage, read_write> grad: array<f32>;

fn at(vector: u32, j: u32) -> u32 {
    return select(vector * p.n + j, j * p.rank + vector, p.transposed != 0u);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WG + lane;
    if i < p.n * p.rank {
        let k = select(i / p.n, i % p.rank, p.transposed != 0u);
        let j = select(i % p.n, i / p.rank, p.transposed != 0u);
        var sum = 0.0;
        for (var l = 0u; l < p.rank; l += 1u) {
            let anchored = y[at(l, j)] * gram[(p.rank + l) * p.rank + k];
            sum += x[at(l, j)] * gram[l * p.rank + k] - anchored;
        }
        grad[i] += p.scale * w[j] * sum;
    }
}
