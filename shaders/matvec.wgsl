// y[n] (+)= sum_k x[k] w[n, k] for one row x, and B u beside it where there is an adapter: four rows of w a workgroup.
// Lanes are split over (block, s) units of 8 elements, so that x is loaded once for the four rows.

struct Params {
    // The part's rows and columns.
    n: u32,
    k: u32,
    scales_at: u32,
    // Element of y that the part's row 0 goes to.
    y_at: u32,
    accumulate: u32,
    // The weights' type, for the CPU twin.
    ty: u32,
    // The adapter: its ranks or none, the four at which B starts, and how many shares of u are behind x.
    rank: u32,
    b_at: u32,
    shares: u32,
    // Is the sum multiplied with factors, and the four at which they start.
    outputs: u32,
    outputs_at: u32,
    pad0: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> w: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> lora: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

fn load(i: u32) -> vec4<u32> {
    return w[i];
}

fn load_word(i: u32) -> u32 {
    return w[i / 4u][i % 4u];
}

#import common/lora
#import sum4
#import weight
#import dot

fn row_dot(row: u32, block: u32, s: u32, unit: Unit) -> f32 {
    // A row past the end repeats the last one; its sum is not stored.
    return unit_dot(min(row, p.n - 1u) * (p.k / 32u) + block, s, p.scales_at, unit);
}

// What this lane adds for the adapter to the four rows from `row` on: some ranks of B u.
fn lora_sums(lane: u32, row: u32) -> vec4<f32> {
    var sums = vec4<f32>();
    for (var j = lane; j < p.rank; j += WG) {
        var u = 0.0;
        for (var i = 0u; i < p.shares; i++) {
            let at = p.k + i * p.rank + j;
            u += x[at / 4u][at % 4u];
        }
        sums += u * lora_four(p.b_at + min(row, p.n - 1u) / 4u * p.rank + j);
    }
    return sums;
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = 4u * (group.x + group.y * groups.x);
    var sums = lora_sums(lane, row);
    for (var i = lane; i < p.k / 8u; i += WG) {
        let block = i / 4u;
        let s = i % 4u;
        let unit = unit_of(x[8u * block + s], x[8u * block + 4u + s]);
        sums += vec4<f32>(
            row_dot(row, block, s, unit),
            row_dot(row + 1u, block, s, unit),
            row_dot(row + 2u, block, s, unit),
            row_dot(row + 3u, block, s, unit),
        );
    }
    let totals = reduce_sum4(lane, sums);
    if lane < 4u && row + lane < p.n {
        let at = p.y_at + row + lane;
        var total = totals[lane];
        if p.outputs != 0u {
            total *= output_factor(p.outputs_at, row + lane);
        }
        y[at] = select(0.0, y[at], p.accumulate != 0u) + total;
    }
}
