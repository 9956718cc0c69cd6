// du = scale * dy b: 4 rows of dy against 16 columns of b, one workgroup. A lane is one of 16 ranks and one of 16
// strided shares of the outputs; the shares are summed through workgroup memory. Its numbers are vec4s over the rows.

struct Params {
    rows: u32,
    cols: u32,
    rank: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
// [rows, cols]
@group(0) @binding(1) var<storage, read> dy: array<f32>;
// [cols, rank]
@group(0) @binding(2) var<storage, read> b: array<f32>;
// [rows, rank]
@group(0) @binding(3) var<storage, read_write> du: array<f32>;

// [16 shares, 16 ranks]
var<workgroup> sh_sums: array<vec4<f32>, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = 4u * group.x;
    let share = lane / 16u;
    let j0 = 16u * group.y;
    let j = j0 + lane % 16u;
    // Rows and ranks past the end repeat the last ones; their sums are not stored.
    let last = p.rows - 1u;
    let at = vec4<u32>(row, min(row + 1u, last), min(row + 2u, last), min(row + 3u, last)) * p.cols;
    let b_at = min(j, p.rank - 1u);
    var sum = vec4<f32>();
    for (var n = share; n < p.cols; n += 16u) {
        let four = vec4<f32>(dy[at.x + n], dy[at.y + n], dy[at.z + n], dy[at.w + n]);
        sum += b[n * p.rank + b_at] * four;
    }
    sh_sums[lane] = sum;
    workgroupBarrier();
    for (var step = 8u; step > 0u; step >>= 1u) {
        if share < step {
            sh_sums[lane] += sh_sums[lane + 16u * step];
        }
        workgroupBarrier();
    }
    // The first four shares of a rank store one row each.
    if share < 4u && row + share < p.rows && j < p.rank {
        du[(row + share) * p.rank + j] = p.scale * sh_sums[lane % 16u][share];
    }
}
