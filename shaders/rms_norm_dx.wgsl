// dx += the gradient of y = x g / rms(x), one workgroup a row:
// dx_j += g_j dy_j / rms - x_j (sum_i dy_i g_i x_i) / (n rms^3).

struct Params {
    rows: u32,
    cols: u32,
    eps: f32,
    pad0: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> g: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

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
    var products = 0.0;
    for (var i = lane; i < p.cols; i += WG) {
        let value = x[start + i];
        squares += value * value;
        products += dy[start + i] * g[i] * value;
    }
    let n = f32(p.cols);
    let scale = inverseSqrt(reduce_sum(lane, squares) / n + p.eps);
    let pull = reduce_sum(lane, products) * scale * scale * scale / n;
    if row < p.rows {
        for (var i = lane; i < p.cols; i += WG) {
            dx[start + i] += g[i] * dy[start + i] * scale - x[start + i] * pull;
        }
    }
}
