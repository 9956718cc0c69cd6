// y[y_row + t] = x[t] * g / sqrt(mean(x[t]^2) + eps), one workgroup a row (Zhang & Sennrich 2019).

struct Params {
    rows: u32,
    cols: u32,
    eps: f32,
    // Row of y at which the first row goes.
    y_row: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> g: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

#import common/reduce

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    let start = min(row, p.rows - 1u) * p.cols;
    var squares = 0.0;
    for (var i = lane; i < p.cols; i += WG) {
        let value = x[start + i];
        squares += value * value;
    }
    let scale = inverseSqrt(reduce_sum(lane, squares) / f32(p.cols) + p.eps);
    if row < p.rows {
        for (var i = lane; i < p.cols; i += WG) {
            y[p.y_row * p.cols + start + i] = x[start + i] * scale * g[i];
        }
    }
}
