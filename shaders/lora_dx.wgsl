// dx += du a: 64 columns by 4 rows a workgroup, a column a lane, the rows in a vec4.
// The rank is walked in chunks of 16, whose du every lane needs.

struct Params {
    rows: u32,
    cols: u32,
    rank: u32,
    pad0: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
// [rows, rank]
@group(0) @binding(1) var<storage, read> du: array<f32>;
// [rank, cols]
@group(0) @binding(2) var<storage, read> a: array<f32>;
// [rows, cols]
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

var<workgroup> sh_du: array<vec4<f32>, 16>;

fn du_at(t: u32, j: u32) -> f32 {
    return du[min(t, p.rows - 1u) * p.rank + min(j, p.rank - 1u)];
}

fn store(t: u32, i: u32, value: f32) {
    if t < p.rows && i < p.cols {
        dx[t * p.cols + i] += value;
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = 64u * group.y + lane;
    let t = 4u * group.x;
    let column = min(i, p.cols - 1u);
    var sum = vec4<f32>();
    for (var j0 = 0u; j0 < p.rank; j0 += 16u) {
        if lane < 16u {
            let j = j0 + lane;
            sh_du[lane] =
                vec4<f32>(du_at(t, j), du_at(t + 1u, j), du_at(t + 2u, j), du_at(t + 3u, j));
        }
        workgroupBarrier();
        for (var j = 0u; j < min(16u, p.rank - j0); j++) {
            sum += a[(j0 + j) * p.cols + column] * sh_du[j];
        }
        workgroupBarrier();
    }
    store(t, i, sum.x);
    store(t + 1u, i, sum.y);
    store(t + 2u, i, sum.z);
    store(t + 3u, i, sum.w);
}
