// o = softmax(q kᵀ / sqrt(hd)) v over each row's span of keys, one workgroup a (row, head), WG keys a tile.
// Online softmax (Milakov & Gimelshein 2018): the running maximum rescales what was summed before it.

struct Params {
    rows: u32,
    heads: u32,
    kv_heads: u32,
    // 1 / sqrt(head_dim).
    scale: f32,
    // An adapter's A for the product behind, of one row alone: its ranks or none, and the four at which it starts.
    rank: u32,
    a_at: u32,
    pad0: u32,
    pad1: u32,
}

override WG: u32;
override HEAD_DIM: u32;

@group(0) @binding(0) var<uniform> p: Params;
// [rows, heads, head_dim]
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
// [keys, kv_heads, head_dim]
@group(0) @binding(2) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
// [rows]: first key and the one after the last; the same for the hole between them.
@group(0) @binding(4) var<storage, read> spans: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read> lora: array<vec2<u32>>;
// [rows, heads, head_dim], then the heads' shares of u [heads, rank].
@group(0) @binding(6) var<storage, read_write> o: array<f32>;
// [rows, heads]: log-sum-exp of the scores, and room for the backward pass.
@group(0) @binding(7) var<storage, read_write> stats: array<vec2<f32>>;

var<workgroup> sh_q: array<vec4<f32>, HEAD_DIM / 4>;
var<workgroup> sh_x: array<f32, HEAD_DIM>;
var<workgroup> sh_weights: array<f32, WG>;
// Where in o the workgroup's share of u begins.
var<private> shares_at: u32;

fn store_share(j: u32, value: f32) {
    o[shares_at + j] = value;
}

#import common/lora_shares
#import common/reduce

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group.x + group.y * groups.x;
    let live = index < p.rows * p.heads;
    let at = min(index, p.rows * p.heads - 1u);
    let span = spans[at / p.heads];
    let kv_head = (at % p.heads) / (p.heads / p.kv_heads);
    for (var d = lane; d < HEAD_DIM / 4u; d += WG) {
        sh_q[d] = q[at * (HEAD_DIM / 4u) + d] * p.scale;
    }
    workgroupBarrier();
    // The lane's elements of the head: lane and lane + WG; past the end they repeat the last, unstored.
    let d0 = min(lane, HEAD_DIM - 1u);
    let d1 = min(lane + WG, HEAD_DIM - 1u);
    var peak = -1.0e30;
    var total = 0.0;
    var sum0 = 0.0;
    var sum1 = 0.0;
    for (var start = span.x; start < span.y; start += WG) {
        let key = start + lane;
        let seen = key < span.y && (key < span.z || key >= span.w);
        var score = -1.0e30;
        if seen {
            score = 0.0;
            let base = (key * p.kv_heads + kv_head) * (HEAD_DIM / 4u);
            for (var d = 0u; d < HEAD_DIM / 4u; d++) {
                score += dot(sh_q[d], k[base + d]);
            }
        }
        let raised = max(peak, reduce_max(lane, score));
        let weight = select(0.0, exp(score - raised), seen);
        sh_weights[lane] = weight;
        let shrink = exp(peak - raised);
        // The barriers of the sum make the weights visible too.
        total = total * shrink + reduce_sum(lane, weight);
        sum0 *= shrink;
        sum1 *= shrink;
        for (var j = 0u; j < min(WG, span.y - start); j++) {
            let base = ((start + j) * p.kv_heads + kv_head) * HEAD_DIM;
            sum0 += sh_weights[j] * v[base + d0];
            sum1 += sh_weights[j] * v[base + d1];
        }
        peak = raised;
        workgroupBarrier();
    }
    // A row that sees no key gets zeros, and a log-sum-exp of about minus infinity.
    let share = select(0.0, 1.0 / total, total > 0.0);
    if live && lane < HEAD_DIM {
        o[at * HEAD_DIM + lane] = sum0 * share;
        sh_x[lane] = sum0 * share;
    }
    if live && lane + WG < HEAD_DIM {
        o[at * HEAD_DIM + lane + WG] = sum1 * share;
        sh_x[lane + WG] = sum1 * share;
    }
    if live && lane == 0u {
        stats[at] = vec2<f32>(select(-1.0e30, peak + log(total), total > 0.0), 0.0);
    }
    shares_at = p.rows * p.heads * HEAD_DIM + at * p.rank;
    let fours = HEAD_DIM / 4u;
    lora_shares(lane, p.a_at + at * fours, p.heads * fours, HEAD_DIM);
}
