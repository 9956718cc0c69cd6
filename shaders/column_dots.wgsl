// out[j] += sum_t x[t, j] y[t, j]: 64 columns a workgroup, the rows in four strided shares, which are summed through
// workgroup memory in a fixed order and without atomics.

struct Params {
    rows: u32,
    cols: u32,
    pad0: u32,
    pad1: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
// [rows, cols]
@group(0) @binding(1) var<storage, read> x: array<f32>;
// [rows, cols]
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

// [4 shares, 64 columns]
var<workgroup> sh_sums: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let j = 64u * group.x + lane % 64u;
    // A lane past the last column repeats it, unstored.
    let column = min(j, p.cols - 1u);
    var sum = 0.0;
    for (var t = lane / 64u; t < p.rows; t += 4u) {
        let at = t * p.cols + column;
        sum += x[at] * y[at];
    }
    sh_sums[lane] = sum;
    workgroupBarrier();
    if lane < 64u && j < p.cols {
        out[j] += sh_sums[lane] + sh_sums[lane + 64u] + sh_sums[lane + 128u] + sh_sums[lane + 192u];
    }
}
