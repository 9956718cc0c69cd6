// y[t, n] (+)= sum_k x[t, k] w[n, k]: a 64 x 64 tile of y a workgroup, 4 x 4 numbers a thread, k in steps of 32.
// Weights are dequantized once a tile. Both tiles hold vec4s along k, a row's eight of them rotated by the row
// (`slot`), so that threads which read the same k of neighbouring rows hit different banks.

struct Params {
    // Tokens, the part's rows, columns.
    rows: u32,
    n: u32,
    k: u32,
    scales_at: u32,
    // Where the product lands in y: y's columns, and the first of them.
    y_cols: u32,
    y_col: u32,
    accumulate: u32,
    // The weights' type, for the CPU twin.
    ty: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> w: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

fn load(i: u32) -> vec4<u32> {
    return w[i];
}

fn load_word(i: u32) -> u32 {
    return w[i / 4u][i % 4u];
}

#import weight
#import tile

var<workgroup> sh_x: array<vec4<f32>, 512>;
var<workgroup> sh_w: array<Four, 512>;

fn slot(row: u32, k4: u32) -> u32 {
    return 8u * row + (k4 ^ (row & 7u));
}

fn load_x(t0: u32, block: u32, unit: u32) {
    let row = unit / 8u;
    let k4 = unit % 8u;
    var four = vec4<f32>();
    if t0 + row < p.rows {
        four = x[(t0 + row) * (p.k / 4u) + 8u * block + k4];
    }
    sh_x[slot(row, k4)] = four;
}

fn load_w(n0: u32, block: u32, unit: u32) {
    let row = unit / 4u;
    let s = unit % 4u;
    var pair = mat2x4<f32>();
    if n0 + row < p.n {
        pair = weight_pair((n0 + row) * (p.k / 32u) + block, s, p.scales_at);
    }
    sh_w[slot(row, s)] = Four(pair[0]);
    sh_w[slot(row, 4u + s)] = Four(pair[1]);
}

fn dots(a: vec4<f32>, w0: vec4<f32>, w1: vec4<f32>, w2: vec4<f32>, w3: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(dot(a, w0), dot(a, w1), dot(a, w2), dot(a, w3));
}

fn store(t: u32, n: u32, value: f32) {
    if t < p.rows && n < p.n {
        let at = t * p.y_cols + p.y_col + n;
        y[at] = select(0.0, y[at], p.accumulate != 0u) + value;
    }
}

fn store_row(t: u32, n: u32, values: vec4<f32>) {
    store(t, n, values.x);
    store(t, n + 16u, values.y);
    store(t, n + 32u, values.z);
    store(t, n + 48u, values.w);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n0 = 64u * group.x;
    let t0 = 64u * group.y;
    // A thread's rows are ty + 16i and its columns tx + 16j.
    let tx = lane % 16u;
    let ty = lane / 16u;
    var acc0 = vec4<f32>();
    var acc1 = vec4<f32>();
    var acc2 = vec4<f32>();
    var acc3 = vec4<f32>();
    for (var block = 0u; block < p.k / 32u; block++) {
        load_x(t0, block, lane);
        load_x(t0, block, lane + 256u);
        load_w(n0, block, lane);
        workgroupBarrier();
        for (var k4 = 0u; k4 < 8u; k4++) {
            let w0 = vec4<f32>(sh_w[slot(tx, k4)]);
            let w1 = vec4<f32>(sh_w[slot(tx + 16u, k4)]);
            let w2 = vec4<f32>(sh_w[slot(tx + 32u, k4)]);
            let w3 = vec4<f32>(sh_w[slot(tx + 48u, k4)]);
            acc0 += dots(sh_x[slot(ty, k4)], w0, w1, w2, w3);
            acc1 += dots(sh_x[slot(ty + 16u, k4)], w0, w1, w2, w3);
            acc2 += dots(sh_x[slot(ty + 32u, k4)], w0, w1, w2, w3);
            acc3 += dots(sh_x[slot(ty + 48u, k4)], w0, w1, w2, w3);
        }
        workgroupBarrier();
    }
    store_row(t0 + ty, n0 + tx, acc0);
    store_row(t0 + ty + 16u, n0 + tx, acc1);
    store_row(t0 + ty + 32u, n0 + tx, acc2);
    store_row(t0 + ty + 48u, n0 + tx, acc3);
}
