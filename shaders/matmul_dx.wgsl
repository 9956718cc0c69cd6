// dx[t, k] (+)= sum_n dy[t, n] w[n, k]: the transposed access to the same packed weights, with no second copy.
// A 64 x 64 tile of dx a workgroup, 4 x 4 numbers a thread, n in steps of 32. A thread dequantizes one (row, s) unit
// of the 32 x 64 tile of w, along k as in the forward product.

struct Params {
    // Tokens, the part's rows, columns.
    rows: u32,
    n: u32,
    k: u32,
    scales_at: u32,
    // Columns of dy, and the one of the part's first row.
    dy_cols: u32,
    dy_col: u32,
    accumulate: u32,
    // The weights' type, for the CPU twin.
    ty: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> w: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>;

fn load(i: u32) -> vec4<u32> {
    return w[i];
}

fn load_word(i: u32) -> u32 {
    return w[i / 4u][i % 4u];
}

#import weight
#import tile

// [64 t, 8 groups of 4 n], a row's groups rotated by the row against bank conflicts.
var<workgroup> sh_dy: array<vec4<f32>, 512>;
// [32 n, 16 groups of 4 k]
var<workgroup> sh_w: array<Four, 512>;

fn slot(row: u32, n4: u32) -> u32 {
    return 8u * row + (n4 ^ (row & 7u));
}

fn dy_at(t: u32, n: u32) -> f32 {
    if t < p.rows && n < p.n {
        return dy[t * p.dy_cols + p.dy_col + n];
    }
    return 0.0;
}

fn load_dy(t0: u32, n0: u32, unit: u32) {
    let t = t0 + unit / 8u;
    let n = n0 + 4u * (unit % 8u);
    sh_dy[slot(unit / 8u, unit % 8u)] =
        vec4<f32>(dy_at(t, n), dy_at(t, n + 1u), dy_at(t, n + 2u), dy_at(t, n + 3u));
}

fn load_w(n0: u32, block0: u32, unit: u32) {
    let row = unit / 8u;
    let block = (unit / 4u) % 2u;
    let s = unit % 4u;
    var pair = mat2x4<f32>();
    if n0 + row < p.n && block0 + block < p.k / 32u {
        pair = weight_pair((n0 + row) * (p.k / 32u) + block0 + block, s, p.scales_at);
    }
    sh_w[16u * row + 8u * block + s] = Four(pair[0]);
    sh_w[16u * row + 8u * block + 4u + s] = Four(pair[1]);
}

fn combine(a: vec4<f32>, w0: vec4<f32>, w1: vec4<f32>, w2: vec4<f32>, w3: vec4<f32>) -> vec4<f32> {
    return a.x * w0 + a.y * w1 + a.z * w2 + a.w * w3;
}

fn store(t: u32, k4: u32, values: vec4<f32>) {
    if t < p.rows && k4 < p.k / 4u {
        let at = t * (p.k / 4u) + k4;
        dx[at] = select(vec4<f32>(), dx[at], p.accumulate != 0u) + values;
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block0 = 2u * group.x;
    let t0 = 64u * group.y;
    // A thread's rows are ty + 16i and its columns 4 tx .. 4 tx + 3.
    let tx = lane % 16u;
    let ty = lane / 16u;
    var acc0 = vec4<f32>();
    var acc1 = vec4<f32>();
    var acc2 = vec4<f32>();
    var acc3 = vec4<f32>();
    for (var n0 = 0u; n0 < p.n; n0 += 32u) {
        load_dy(t0, n0, lane);
        load_dy(t0, n0, lane + 256u);
        load_w(n0, block0, lane);
        workgroupBarrier();
        for (var n4 = 0u; n4 < 8u; n4++) {
            let w0 = vec4<f32>(sh_w[64u * n4 + tx]);
            let w1 = vec4<f32>(sh_w[64u * n4 + 16u + tx]);
            let w2 = vec4<f32>(sh_w[64u * n4 + 32u + tx]);
            let w3 = vec4<f32>(sh_w[64u * n4 + 48u + tx]);
            acc0 += combine(sh_dy[slot(ty, n4)], w0, w1, w2, w3);
            acc1 += combine(sh_dy[slot(ty + 16u, n4)], w0, w1, w2, w3);
            acc2 += combine(sh_dy[slot(ty + 32u, n4)], w0, w1, w2, w3);
            acc3 += combine(sh_dy[slot(ty + 48u, n4)], w0, w1, w2, w3);
        }
        workgroupBarrier();
    }
    let k4 = 8u * block0 + tx;
    store(t0 + ty, k4, acc0);
    store(t0 + ty + 16u, k4, acc1);
    store(t0 + ty + 32u, k4, acc2);
    store(t0 + ty + 48u, k4, acc3);
}
