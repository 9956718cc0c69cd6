// h = silu(g + B_g u_g) * (up + B_up u_up) for one row whose products are in y beside an adapter, and behind h the shares
// of u = A h that each WG columns have. A lane a column.

struct Params {
    n: u32,
    // Ranks of the adapter.
    rank: u32,
    // Fours at which B of gate, B of up and A of the next matrix start.
    gate_at: u32,
    up_at: u32,
    a_at: u32,
    // Columns of a workgroup, for the CPU twin.
    chunk: u32,
    pad0: u32,
    pad1: u32,
    // Fours at which what gate and up are multiplied with starts, and last whether there is anything.
    outputs: vec4<u32>,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
// Gate and up, [n] each, and the adapter's u of each.
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> lora: array<vec2<u32>>;
// [n], then [workgroups, rank].
@group(0) @binding(3) var<storage, read_write> h: array<f32>;

var<workgroup> sh_x: array<f32, WG>;
var<private> chunk: u32;

fn store_share(j: u32, value: f32) {
    h[p.n + chunk * p.rank + j] = value;
}

#import common/lora_shares

// Element `i` of a product that is at `start` in y, its u at `u_at`, its B at `b_at` and its factors at `outputs_at`.
fn value(i: u32, start: u32, u_at: u32, b_at: u32, outputs_at: u32) -> f32 {
    var sum = y[start + i];
    for (var j = 0u; j < p.rank; j++) {
        sum += y[u_at + j] * lora_four(b_at + i / 4u * p.rank + j)[i % 4u];
    }
    if p.outputs.w != 0u {
        sum *= output_factor(outputs_at, i);
    }
    return sum;
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    chunk = group.x;
    let first = chunk * WG;
    let i = min(first + lane, p.n - 1u);
    let a = value(i, 0u, 2u * p.n, p.gate_at, p.outputs.x);
    let b = value(i, p.n, 2u * p.n + p.rank, p.up_at, p.outputs.y);
    // exp overflows past 88; the sigmoid is zero long before.
    let product = a / (1.0 + exp(min(-a, 80.0))) * b;
    if first + lane < p.n {
        h[i] = product;
    }
    sh_x[lane] = product;
    lora_shares(lane, p.a_at + first / 4u, p.n / 4u, min(WG, p.n - first));
}
