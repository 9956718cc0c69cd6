// y = [W0 norm(x) | W1 norm(x) | W2 norm(x)] for one row x, matrices of one type; behind them u = A norm(x) of each where
// an adapter is beside them. Four rows of one matrix a workgroup.

struct Params {
    // Rows of the three matrices, and of each A.
    rows: vec4<u32>,
    // Words at which the matrices' scales start.
    scales: vec4<u32>,
    // Fours at which each A starts, and how many there are.
    a_at: vec4<u32>,
    cols: u32,
    eps: f32,
    // The weights' type, for the CPU twin.
    ty: u32,
    pad0: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> w0: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> w1: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> w2: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> x: array<vec4<f32>>;
// The norm's gain.
@group(0) @binding(5) var<storage, read> g: array<vec4<f32>>;
// The adapter's factors.
@group(0) @binding(6) var<storage, read> lora: array<vec2<u32>>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;

// What this workgroup reads, the same for all its lanes: a matrix, or from 3 on an A; and its rows from `row` on.
var<private> matrix: u32;
var<private> row: u32;

fn load(i: u32) -> vec4<u32> {
    if matrix == 0u {
        return w0[i];
    }
    if matrix == 1u {
        return w1[i];
    }
    return w2[i];
}

fn load_word(i: u32) -> u32 {
    return load(i / 4u)[i % 4u];
}

#import common/lora
#import common/normed
#import weight

fn weight_dot(r: u32, block: u32, s: u32, low: vec4<f32>, high: vec4<f32>) -> f32 {
    // A row past the end repeats the last one; its sum is not stored.
    let b = min(row + r, p.rows[matrix] - 1u) * (p.cols / 32u) + block;
    let pair = weight_pair(b, s, p.scales[matrix]);
    return dot(pair[0], low) + dot(pair[1], high);
}

fn lora_dot(r: u32, block: u32, s: u32, low: vec4<f32>, high: vec4<f32>) -> f32 {
    let i = p.a_at[matrix - 3u] + (row + r) * (p.cols / 4u) + 8u * block + s;
    return dot(lora_four(i), low) + dot(lora_four(i + 4u), high);
}

fn four_dots(block: u32, s: u32, low: vec4<f32>, high: vec4<f32>) -> vec4<f32> {
    if matrix < 3u {
        return vec4<f32>(
            weight_dot(0u, block, s, low, high),
            weight_dot(1u, block, s, low, high),
            weight_dot(2u, block, s, low, high),
            weight_dot(3u, block, s, low, high),
        );
    }
    return vec4<f32>(
        lora_dot(0u, block, s, low, high),
        lora_dot(1u, block, s, low, high),
        lora_dot(2u, block, s, low, high),
        lora_dot(3u, block, s, low, high),
    );
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    // Walks over the matrices to the one that has this workgroup's four rows.
    var left = group.x + group.y * groups.x;
    var start = 0u;
    var n = p.rows.x;
    matrix = 0u;
    while matrix < 3u + p.a_at.w && left >= (n + 3u) / 4u {
        left -= (n + 3u) / 4u;
        start += n;
        matrix++;
        n = p.rows[min(matrix, 3u)];
    }
    // A grid folded into its second dimension can have workgroups past the last matrix.
    let live = matrix < 3u + p.a_at.w;
    if !live {
        matrix = 0u;
        left = 0u;
    }
    row = 4u * left;
    let totals = normed_dots(lane, p.cols);
    if live && lane < 4u && row + lane < n {
        y[start + row + lane] = totals[lane];
    }
}
