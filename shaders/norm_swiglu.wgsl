// h = silu(G norm(x)) * (U norm(x)) for one row x: two rows of each matrix a workgroup (Shazeer 2020).

struct Params {
    n: u32,
    k: u32,
    gate_scales: u32,
    up_scales: u32,
    eps: f32,
    // The weights' type, for the CPU twin.
    ty: u32,
    pad0: u32,
    pad1: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> gate: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> up: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;
// The norm's gain.
@group(0) @binding(4) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> h: array<f32>;

// The first of this workgroup's rows.
var<private> row: u32;
// Which of the matrices is read next.
var<private> reads_up: bool;

fn load(i: u32) -> vec4<u32> {
    if reads_up {
        return up[i];
    }
    return gate[i];
}

fn load_word(i: u32) -> u32 {
    return load(i / 4u)[i % 4u];
}

#import common/normed
#import weight

fn weight_dot(b: u32, s: u32, scales: u32, low: vec4<f32>, high: vec4<f32>) -> f32 {
    let pair = weight_pair(b, s, scales);
    return dot(pair[0], low) + dot(pair[1], high);
}

// Gate and up of the first row, then of the second.
fn four_dots(block: u32, s: u32, low: vec4<f32>, high: vec4<f32>) -> vec4<f32> {
    // A row past the end repeats the last one; its sum is not stored.
    let b0 = min(row, p.n - 1u) * (p.k / 32u) + block;
    let b1 = min(row + 1u, p.n - 1u) * (p.k / 32u) + block;
    reads_up = false;
    let gate0 = weight_dot(b0, s, p.gate_scales, low, high);
    let gate1 = weight_dot(b1, s, p.gate_scales, low, high);
    reads_up = true;
    let up0 = weight_dot(b0, s, p.up_scales, low, high);
    let up1 = weight_dot(b1, s, p.up_scales, low, high);
    return vec4<f32>(gate0, up0, gate1, up1);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    row = 2u * (group.x + group.y * groups.x);
    let totals = normed_dots(lane, p.k);
    if lane < 2u && row + lane < p.n {
        let a = totals[2u * lane];
        let b = totals[2u * lane + 1u];
        // exp overflows past 88; the sigmoid is zero long before.
        h[row + lane] = a / (1.0 + exp(min(-a, 80.0))) * b;
    }
}
