// q = Q norm(x), k = K norm(x), v = V norm(x) for one row x: matrices of one type, four rows of one of them a workgroup.
// The norm's scale is a factor of the whole sum, so the squares are added up in the same sweep as the products.

struct Params {
    // Rows of Q, and of K and V each.
    q_rows: u32,
    kv_rows: u32,
    cols: u32,
    q_scales: u32,
    k_scales: u32,
    v_scales: u32,
    eps: f32,
    // The weights' type, for the CPU twin.
    ty: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> wq: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> wk: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> wv: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> x: array<vec4<f32>>;
// The norm's gain.
@group(0) @binding(5) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> q: array<f32>;
@group(0) @binding(7) var<storage, read_write> k: array<f32>;
@group(0) @binding(8) var<storage, read_write> v: array<f32>;

// Which of the matrices this workgroup reads: the same for all its lanes.
var<private> matrix: u32;

fn load(i: u32) -> vec4<u32> {
    if matrix == 0u {
        return wq[i];
    }
    if matrix == 1u {
        return wk[i];
    }
    return wv[i];
}

fn load_word(i: u32) -> u32 {
    if matrix == 0u {
        return wq[i / 4u][i % 4u];
    }
    if matrix == 1u {
        return wk[i / 4u][i % 4u];
    }
    return wv[i / 4u][i % 4u];
}

#import common/reduce
#import common/reduce4
#import weight

fn unit_dot(b: u32, s: u32, scales: u32, low: vec4<f32>, high: vec4<f32>) -> f32 {
    let pair = weight_pair(b, s, scales);
    return dot(pair[0], low) + dot(pair[1], high);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group.x + group.y * groups.x;
    let q_groups = (p.q_rows + 3u) / 4u;
    let kv_groups = (p.kv_rows + 3u) / 4u;
    matrix = select(1u + (index - q_groups) / kv_groups, 0u, index < q_groups);
    let n = select(p.kv_rows, p.q_rows, matrix == 0u);
    let scales = select(select(p.v_scales, p.k_scales, matrix == 1u), p.q_scales, matrix == 0u);
    let row = 4u * select((index - q_groups) % kv_groups, index, matrix == 0u);
    let blocks = p.cols / 32u;
    var sums = vec4<f32>();
    var squares = 0.0;
    for (var unit = lane; unit < p.cols / 8u; unit += WG) {
        let block = unit / 4u;
        let s = unit % 4u;
        let low = x[8u * block + s];
        let high = x[8u * block + 4u + s];
        squares += dot(low, low) + dot(high, high);
        let low_g = low * g[8u * block + s];
        let high_g = high * g[8u * block + 4u + s];
        // A row past the end repeats the last one; its sum is not stored.
        let last = n - 1u;
        sums += vec4<f32>(
            unit_dot(min(row, last) * blocks + block, s, scales, low_g, high_g),
            unit_dot(min(row + 1u, last) * blocks + block, s, scales, low_g, high_g),
            unit_dot(min(row + 2u, last) * blocks + block, s, scales, low_g, high_g),
            unit_dot(min(row + 3u, last) * blocks + block, s, scales, low_g, high_g),
        );
    }
    let totals = reduce_sum4(lane, sums);
    let scale = inverseSqrt(reduce_sum(lane, squares) / f32(p.cols) + p.eps);
    // A grid folded into its second dimension can have workgroups past the last matrix.
    if lane < 4u && row + lane < n && matrix < 3u {
        let value = totals[lane] * scale;
        if matrix == 0u {
            q[row + lane] = value;
        } else if matrix == 1u {
            k[row + lane] = value;
        } else {
            v[row + lane] = value;
        }
    }
}
