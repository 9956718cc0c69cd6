// grad[j, i] += scale * sum_t p_t[j] x_t[i] for 16 columns i and 16 ranks j a workgroup; grad[i, j] where transposed.
// A lane is one column and one of 16 strided shares of the rows, and sums all 16 ranks in four vec4s; the shares are
// summed through workgroup memory, in a fixed order and without atomics.

struct Params {
    rows: u32,
    cols: u32,
    rank: u32,
    scale: f32,
    transposed: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
// [rows, rank]
@group(0) @binding(1) var<storage, read> left: array<f32>;
// [rows, cols]
@group(0) @binding(2) var<storage, read> x: array<f32>;
// [rank, cols], transposed [cols, rank]
@group(0) @binding(3) var<storage, read_write> grad: array<f32>;

// A tile of 32 rows of `left`, its 16 ranks in four vec4s.
var<workgroup> sh_left: array<vec4<f32>, 128>;
// [16 shares, 16 columns]
var<workgroup> sh_sums: array<vec4<f32>, 256>;

fn left_at(t: u32, j: u32) -> f32 {
    if t < p.rows && j < p.rank {
        return left[t * p.rank + j];
    }
    return 0.0;
}

fn store(j: u32, i: u32, value: f32) {
    if j < p.rank && i < p.cols {
        let at = select(j * p.cols + i, i * p.rank + j, p.transposed != 0u);
        grad[at] += p.scale * value;
    }
}

// Sums the shares of four ranks from j on; called by all lanes.
fn finish(lane: u32, j: u32, i: u32, sum: vec4<f32>) {
    sh_sums[lane] = sum;
    workgroupBarrier();
    for (var step = 8u; step > 0u; step >>= 1u) {
        if lane / 16u < step {
            sh_sums[lane] += sh_sums[lane + 16u * step];
        }
        workgroupBarrier();
    }
    // The first four shares store one rank each.
    let share = lane / 16u;
    if share < 4u {
        store(j + share, i, sh_sums[lane % 16u][share]);
    }
    workgroupBarrier();
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = 16u * group.x + lane % 16u;
    let j0 = 16u * group.y;
    let share = lane / 16u;
    let column = min(i, p.cols - 1u);
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    for (var t0 = 0u; t0 < p.rows; t0 += 32u) {
        if lane < 128u {
            let t = t0 + lane / 4u;
            let j = j0 + 4u * (lane % 4u);
            sh_left[lane] = vec4<f32>(
                left_at(t, j), left_at(t, j + 1u), left_at(t, j + 2u), left_at(t, j + 3u),
            );
        }
        workgroupBarrier();
        for (var r = share; r < min(32u, p.rows - t0); r += 16u) {
            let value = x[(t0 + r) * p.cols + column];
            sum0 += value * sh_left[4u * r];
            sum1 += value * sh_left[4u * r + 1u];
            sum2 += value * sh_left[4u * r + 2u];
            sum3 += value * sh_left[4u * r + 3u];
        }
        workgroupBarrier();
    }
    finish(lane, j0, i, sum0);
    finish(lane, j0 + 4u, i, sum1);
    finish(lane, j0 + 8u, i, sum2);
    finish(lane, j0 + 12u, i, sum3);
}
