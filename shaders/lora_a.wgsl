// u = x aᵀ: 4 rows of x against 16 rows of a, one workgroup. A lane is one of 16 ranks and one of 16 strided shares of
// the columns; the shares are summed through workgroup memory. Its numbers are vec4s over the 4 rows.

struct Params {
    rows: u32,
    cols: u32,
    rank: u32,
    pad0: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
// [rows, cols]
@group(0) @binding(1) var<storage, read> x: array<f32>;
// [rank, cols]
@group(0) @binding(2) var<storage, read> a: array<f32>;
// [rows, rank]
@group(0) @binding(3) var<storage, read_write> u: array<f32>;

var<workgroup> sh_sums: array<vec4<f32>, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = 4u * group.x;
    let share = lane % 16u;
    let j = 16u * group.y + lane / 16u;
    // Rows and ranks past the end repeat the last ones; their sums are not stored.
    let last = p.rows - 1u;
    let at = vec4<u32>(row, min(row + 1u, last), min(row + 2u, last), min(row + 3u, last)) * p.cols;
    let a_at = min(j, p.rank - 1u) * p.cols;
    var sum = vec4<f32>();
    for (var i = share; i < p.cols; i += 16u) {
        sum += a[a_at + i] * vec4<f32>(x[at.x + i], x[at.y + i], x[at.z + i], x[at.w + i]);
    }
    sh_sums[lane] = sum;
    workgroupBarrier();
    for (var step = 8u; step > 0u; step >>= 1u) {
        if share < step {
            sh_sums[lane] += sh_sums[lane + step];
        }
        workgroupBarrier();
    }
    // Lanes 0..4 of a rank store one row each.
    if share < 4u && row + share < p.rows && j < p.rank {
        u[(row + share) * p.rank + j] = sh_sums[lane - share][share];
    }
}
