// y[t, n] (+)= sum_k x[t, k] w[n, k] by cooperative matrices: `matmul` with f16 operands and f32 sums, native only.
// A tile of y of TILE x TILE a workgroup, k in steps of 32. Weights are dequantized once a tile.

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

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> w: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

fn load(i: u32) -> vec4<u32> {
    return w[i];
}

fn load_word(i: u32) -> u32 {
    return w[i / 4u][i % 4u];
}

fn operand(t: u32, k: u32) -> f32 {
    if t < p.rows && k < p.k {
        return x[t * p.k + k];
    }
    return 0.0;
}

fn store(t: u32, n: u32, value: f32) {
    if t < p.rows && n < p.n {
        let at = t * p.y_cols + p.y_col + n;
        y[at] = select(0.0, y[at], p.accumulate != 0u) + value;
    }
}

#import weight
#import matrices
#import common/matrix_tiles

// [TILE rows of w, 32 k]
var<workgroup> sh_right: array<f16, TILE * 32u>;

fn put(at: u32, four: vec4<f32>) {
    sh_right[at] = f16(four.x);
    sh_right[at + 1u] = f16(four.y);
    sh_right[at + 2u] = f16(four.z);
    sh_right[at + 3u] = f16(four.w);
}

fn load_right(n0: u32, k0: u32, lane: u32) {
    for (var unit = lane; unit < TILE * 4u; unit += WG) {
        let row = unit / 4u;
        let s = unit % 4u;
        var pair = mat2x4<f32>();
        if n0 + row < p.n {
            pair = weight_pair((n0 + row) * (p.k / 32u) + k0 / 32u, s, p.scales_at);
        }
        put(32u * row + 4u * s, pair[0]);
        put(32u * row + 16u + 4u * s, pair[1]);
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
    @builtin(subgroup_size) subgroup_lanes: u32,
) {
    let c0 = TILE * group.x;
    let t0 = TILE * group.y;
    scale_rows(t0, p.k, Place(subgroup, subgroups, subgroup_lane, subgroup_lanes));
    workgroupBarrier();
    // Each of the four subgroups makes two by two matrices.
    let quarter = subgroup % 4u;
    let up = 2u * SIDE * (quarter / 2u);
    let left = 2u * SIDE * (quarter % 2u);
    var sum00 = Sum();
    var sum01 = Sum();
    var sum10 = Sum();
    var sum11 = Sum();
    for (var i0 = 0u; i0 < p.k; i0 += 32u) {
        load_left(t0, i0, lane);
        load_right(c0, i0, lane);
        workgroupBarrier();
        for (var i = 0u; i < 32u; i += SIDE) {
            let a0 = coopLoadT<Left>(&sh_left[32u * up + i], 32u);
            let a1 = coopLoadT<Left>(&sh_left[32u * (up + SIDE) + i], 32u);
            // Rows of w are columns of the right operand.
            let b0 = coopLoad<Right>(&sh_right[32u * left + i], 32u);
            let b1 = coopLoad<Right>(&sh_right[32u * (left + SIDE) + i], 32u);
            sum00 = coopMultiplyAdd(a0, b0, sum00);
            sum01 = coopMultiplyAdd(a0, b1, sum01);
            sum10 = coopMultiplyAdd(a1, b0, sum10);
            sum11 = coopMultiplyAdd(a1, b1, sum11);
        }
        workgroupBarrier();
    }
    let at = SIDE * SIDE * quarter;
    coopStoreT(sum00, &sh_sums[at], SIDE);
    workgroupBarrier();
    store_sums(t0, c0, 0u, 0u, lane);
    workgroupBarrier();
    coopStoreT(sum01, &sh_sums[at], SIDE);
    workgroupBarrier();
    store_sums(t0, c0, 0u, 1u, lane);
    workgroupBarrier();
    coopStoreT(sum10, &sh_sums[at], SIDE);
    workgroupBarrier();
    store_sums(t0, c0, 1u, 0u, lane);
    workgroupBarrier();
    coopStoreT(sum11, &sh_sums[at], SIDE);
    workgroupBarrier();
    store_sums(t0, c0, 1u, 1u, lane);
}
