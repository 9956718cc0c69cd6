// dx[t, k] (+)= sum_n dy[t, n] w[n, k]: eight rows of dy times eight columns of w (a unit of the packed blocks) a lane, all
// sums in registers and no lane waits for another: for devices that workgroup memory slows down.

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

override WG: u32;

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

// Number n + j of row `t` of dy; a row past the end repeats the last one, and behind the part's own rows is nothing.
fn one_at(t: u32, n: u32, j: u32) -> f32 {
    if n + j < p.n {
        return dy[min(t, p.rows - 1u) * p.dy_cols + p.dy_col + n + j];
    }
    return 0.0;
}

fn four_at(t: u32, n: u32) -> vec4<f32> {
    return vec4<f32>(one_at(t, n, 0u), one_at(t, n, 1u), one_at(t, n, 2u), one_at(t, n, 3u));
}

#import weight
#import four

// The unit's columns of four rows of w.
struct Rows {
    w0: mat2x4<f32>,
    w1: mat2x4<f32>,
    w2: mat2x4<f32>,
    w3: mat2x4<f32>,
}

// Unit `unit` of the four rows from `n` on; a row past the end repeats the last one.
fn rows_at(n: u32, unit: u32) -> Rows {
    let last = p.n - 1u;
    let blocks = p.k / 32u;
    let block = unit / 4u;
    let s = unit % 4u;
    return Rows(
        weight_pair(min(n, last) * blocks + block, s, p.scales_at),
        weight_pair(min(n + 1u, last) * blocks + block, s, p.scales_at),
        weight_pair(min(n + 2u, last) * blocks + block, s, p.scales_at),
        weight_pair(min(n + 3u, last) * blocks + block, s, p.scales_at),
    );
}

// Numbers n .. n + 3 of row `t` of dy times these rows of w.
fn combine(t: u32, n: u32, place: u32, rows: Rows) -> mat2x4<f32> {
    let a = four(t, n, place);
    return a.x * rows.w0 + a.y * rows.w1 + a.z * rows.w2 + a.w * rows.w3;
}

fn store_four(t: u32, k4: u32, values: vec4<f32>) {
    let at = t * (p.k / 4u) + k4;
    dx[at] = select(vec4<f32>(), dx[at], p.accumulate != 0u) + values;
}

fn store(t: u32, unit: u32, sums: mat2x4<f32>) {
    if t < p.rows && unit < p.k / 8u {
        let k4 = unit / 4u * 8u + unit % 4u;
        store_four(t, k4, sums[0]);
        store_four(t, k4 + 4u, sums[1]);
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let unit = WG * group.x + lane;
    // A lane past the end repeats the last unit, since its quad may want its numbers of dy.
    let read = min(unit, p.k / 8u - 1u);
    let t0 = 8u * group.y;
    let place = place_in_quad();
    var sum0 = mat2x4<f32>();
    var sum1 = mat2x4<f32>();
    var sum2 = mat2x4<f32>();
    var sum3 = mat2x4<f32>();
    var sum4 = mat2x4<f32>();
    var sum5 = mat2x4<f32>();
    var sum6 = mat2x4<f32>();
    var sum7 = mat2x4<f32>();
    for (var n = 0u; n < p.n; n += 4u) {
        let rows = rows_at(n, read);
        sum0 += combine(t0, n, place, rows);
        sum1 += combine(t0 + 1u, n, place, rows);
        sum2 += combine(t0 + 2u, n, place, rows);
        sum3 += combine(t0 + 3u, n, place, rows);
        sum4 += combine(t0 + 4u, n, place, rows);
        sum5 += combine(t0 + 5u, n, place, rows);
        sum6 += combine(t0 + 6u, n, place, rows);
        sum7 += combine(t0 + 7u, n, place, rows);
    }
    store(t0, unit, sum0);
    store(t0 + 1u, unit, sum1);
    store(t0 + 2u, unit, sum2);
    store(t0 + 3u, unit, sum3);
    store(t0 + 4u, unit, sum4);
    store(t0 + 5u, unit, sum5);
    store(t0 + 6u, unit, sum6);
    store(t0 + 7u, unit, sum7);
}
