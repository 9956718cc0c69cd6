// The norms of the rows of W + s B A, from numbers that need no W: n^2 = |W_i|^2 + s B_i . (2 (W A^T)_i + s (B A A^T)_i).
// A lane a row; it writes c = m / n and 1 / n, both 0 where the row is zero.

struct Params {
    outputs: u32,
    rank: u32,
    scale: f32,
    pad0: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
// [outputs]
@group(0) @binding(1) var<storage, read> squares: array<f32>;
// A W^T, [rank, outputs]
@group(0) @binding(2) var<storage, read> products: array<f32>;
// B A A^T, [outputs, rank]
@group(0) @binding(3) var<storage, read> gram: array<f32>;
// [outputs, rank]
@group(0) @binding(4) var<storage, read> b: array<f32>;
// Magnitudes, [outputs]
@group(0) @binding(5) var<storage, read> m: array<f32>;
@group(0) @binding(6) var<storage, read_write> factors: array<f32>;
@group(0) @binding(7) var<storage, read_write> inverses: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WG + lane;
    if i < p.outputs {
        var sum = 0.0;
        for (var j = 0u; j < p.rank; j++) {
            let at = i * p.rank + j;
            sum += b[at] * (2.0 * products[j * p.outputs + i] + p.scale * gram[at]);
        }
        let square = squares[i] + p.scale * sum;
        var inverse = 0.0;
        if square > 0.0 {
            inverse = 1.0 / sqrt(square);
        }
        factors[i] = m[i] * inverse;
        inverses[i] = inverse;
    }
}
