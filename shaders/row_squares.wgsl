// squares[i] = sum_k w[i, k]^2: the squared norms of a frozen matrix's rows, one workgroup a row.

struct Params {
    // The part's rows, and the matrix's columns.
    n: u32,
    cols: u32,
    // Element that the part's row 0 goes to.
    at: u32,
    scales_at: u32,
    // The weights' type, for the CPU twin.
    ty: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> w: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> squares: array<f32>;

fn load(i: u32) -> vec4<u32> {
    return w[i];
}

fn load_word(i: u32) -> u32 {
    return w[i / 4u][i % 4u];
}

#import common/reduce
#import weight

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    let blocks = p.cols / 32u;
    var sum = 0.0;
    for (var unit = lane; unit < 4u * blocks; unit += WG) {
        let pair = weight_pair(min(row, p.n - 1u) * blocks + unit / 4u, unit % 4u, p.scales_at);
        sum += dot(pair[0], pair[0]) + dot(pair[1], pair[1]);
    }
    let total = reduce_sum(lane, sum);
    if lane == 0u && row < p.n {
        squares[p.at + row] = total;
    }
}
