// y[t, n] += scale * sum_j u[t, j] b[n, j]: 64 columns by 4 rows a workgroup, a column a lane, the rows in a vec4.
// The rank is walked in chunks of 16, whose u every lane needs.

struct Params {
    rows: u32,
    cols: u32,
    rank: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
// [rows, rank]
@group(0) @binding(1) var<storage, read> u: array<f32>;
// [cols, rank]
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

var<workgroup> sh_u: array<vec4<f32>, 16>;

fn u_at(t: u32, j: u32) -> f32 {
    return u[min(t, p.rows - 1u) * p.rank + min(j, p.rank - 1u)];
}

fn store(t: u32, n: u32, value: f32) {
    if t < p.rows && n < p.cols {
        y[t * p.cols + n] += p.scale * value;
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = 64u * group.y + lane;
    let t = 4u * group.x;
    let b_at = min(n, p.cols - 1u) * p.rank;
    var sum = vec4<f32>();
    for (var j0 = 0u; j0 < p.rank; j0 += 16u) {
        if lane < 16u {
            let j = j0 + lane;
            sh_u[lane] = vec4<f32>(u_at(t, j), u_at(t + 1u, j), u_at(t + 2u, j), u_at(t + 3u, j));
        }
        workgroupBarrier();
        for (var j = 0u; j < min(16u, p.rank - j0); j++) {
            sum += b[b_at + j0 + j] * sh_u[j];
        }
        workgroupBarrier();
    }
    store(t, n, sum.x);
    store(t + 1u, n, sum.y);
    store(t + 2u, n, sum.z);
    store(t + 3u, n, sum.w);
}
