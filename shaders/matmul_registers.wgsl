// y[t, n] (+)= sum_k x[t, k] w[n, k]: eight rows of x times eight rows of w a lane, all sums in registers. Weights are
// dequantized once and multiplied with all eight x; nothing waits in workgroup memory but sums at the end, where several
// lanes share the columns (`lanes`). For few rows, which fill no tile, and for devices that workgroup memory slows down.

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
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

fn load(i: u32) -> vec4<u32> {
    return w[i];
}

fn load_word(i: u32) -> u32 {
    return w[i / 4u][i % 4u];
}

// Columns i .. i + 3 of row `t` of x; a row past the end repeats the last one.
fn four_at(t: u32, i: u32) -> vec4<f32> {
    return x[min(t, p.rows - 1u) * (p.k / 4u) + i / 4u];
}

fn one_at(t: u32, i: u32, j: u32) -> f32 {
    return x[min(t, p.rows - 1u) * (p.k / 4u) + i / 4u][j];
}

#import weight
#import lanes
#import four

// Eight columns of eight rows of w: the lower and the upper four of a unit, four rows a matrix.
struct Unit {
    low0: mat4x4<f32>,
    low1: mat4x4<f32>,
    high0: mat4x4<f32>,
    high1: mat4x4<f32>,
}

// Unit `s` of block `block` of the rows from `n` on; a row past the end repeats the last one.
fn unit_at(n: u32, block: u32, s: u32) -> Unit {
    let last = p.n - 1u;
    let blocks = p.k / 32u;
    let w0 = weight_pair(min(n, last) * blocks + block, s, p.scales_at);
    let w1 = weight_pair(min(n + 1u, last) * blocks + block, s, p.scales_at);
    let w2 = weight_pair(min(n + 2u, last) * blocks + block, s, p.scales_at);
    let w3 = weight_pair(min(n + 3u, last) * blocks + block, s, p.scales_at);
    let w4 = weight_pair(min(n + 4u, last) * blocks + block, s, p.scales_at);
    let w5 = weight_pair(min(n + 5u, last) * blocks + block, s, p.scales_at);
    let w6 = weight_pair(min(n + 6u, last) * blocks + block, s, p.scales_at);
    let w7 = weight_pair(min(n + 7u, last) * blocks + block, s, p.scales_at);
    return Unit(
        mat4x4<f32>(w0[0], w1[0], w2[0], w3[0]),
        mat4x4<f32>(w4[0], w5[0], w6[0], w7[0]),
        mat4x4<f32>(w0[1], w1[1], w2[1], w3[1]),
        mat4x4<f32>(w4[1], w5[1], w6[1], w7[1]),
    );
}

// Row `t` of x at the unit's columns, `i` and `i` + 16, times the unit.
fn dots(t: u32, i: u32, place: u32, unit: Unit) -> mat2x4<f32> {
    let low = four(t, i, place);
    let high = four(t, i + 16u, place);
    return mat2x4<f32>(low * unit.low0 + high * unit.high0, low * unit.low1 + high * unit.high1);
}

fn store(t: u32, n: u32, value: f32) {
    if t < p.rows && n < p.n {
        let at = t * p.y_cols + p.y_col + n;
        y[at] = select(0.0, y[at], p.accumulate != 0u) + value;
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n0 = 8u * (WG / LANES) * group.x;
    let t0 = 8u * group.y;
    let n = n0 + lane / LANES * 8u;
    let place = place_in_quad();
    var sum0 = mat2x4<f32>();
    var sum1 = mat2x4<f32>();
    var sum2 = mat2x4<f32>();
    var sum3 = mat2x4<f32>();
    var sum4 = mat2x4<f32>();
    var sum5 = mat2x4<f32>();
    var sum6 = mat2x4<f32>();
    var sum7 = mat2x4<f32>();
    for (var i = share(lane); i < p.k / 8u; i += LANES) {
        let block = i / 4u;
        let s = i % 4u;
        let unit = unit_at(n, block, s);
        let at = 32u * block + 4u * s;
        sum0 += dots(t0, at, place, unit);
        sum1 += dots(t0 + 1u, at, place, unit);
        sum2 += dots(t0 + 2u, at, place, unit);
        sum3 += dots(t0 + 3u, at, place, unit);
        sum4 += dots(t0 + 4u, at, place, unit);
        sum5 += dots(t0 + 5u, at, place, unit);
        sum6 += dots(t0 + 6u, at, place, unit);
        sum7 += dots(t0 + 7u, at, place, unit);
    }
    put(lane, t0, n, 0u, sum0);
    put(lane, t0, n, 1u, sum1);
    put(lane, t0, n, 2u, sum2);
    put(lane, t0, n, 3u, sum3);
    put(lane, t0, n, 4u, sum4);
    put(lane, t0, n, 5u, sum5);
    put(lane, t0, n, 6u, sum6);
    put(lane, t0, n, 7u, sum7);
    finish(lane, t0, n0);
}
