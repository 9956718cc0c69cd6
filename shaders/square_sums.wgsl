// sums[j] += scale * sum_t x[t, j]², a lane a column: with one row, the squares of a vector are added element by element.

struct Params {
    rows: u32,
    cols: u32,
    scale: f32,
    pad: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
// [rows, cols]
@group(0) @binding(1) var<storage, read> x: array<f32>;
// [cols]
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let j = (group.x + group.y * groups.x) * WG + lane;
    if j < p.cols {
        var sum = 0.0;
        for (var t = 0u; t < p.rows; t += 1u) {
            let value = x[t * p.cols + j];
            sum += value * value;
        }
        sums[j] += p.scale * sum;
    }
}
