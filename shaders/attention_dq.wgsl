// dq of attention, and D = sum(do o) for the keys' gradients; one workgroup a (row, head), WG keys a tile.
// P = exp(S - LSE), dP = do vᵀ, dS = P (dP - D), dq = dS k / sqrt(hd).

struct Params {
    rows: u32,
    heads: u32,
    kv_heads: u32,
    // 1 / sqrt(head_dim).
    scale: f32,
}

override WG: u32;
override HEAD_DIM: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> o: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> d_o: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> spans: array<vec4<u32>>;
// [rows, heads]: log-sum-exp (read), D (written).
@group(0) @binding(7) var<storage, read_write> stats: array<vec2<f32>>;
@group(0) @binding(8) var<storage, read_write> dq: array<vec4<f32>>;

#import common/reduce

const QUADS = 32u;

var<workgroup> sh_q: array<vec4<f32>, QUADS>;
var<workgroup> sh_do: array<vec4<f32>, QUADS>;
var<workgroup> sh_ds: array<f32, WG>;
var<workgroup> sh_sums: array<vec4<f32>, WG>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quads = HEAD_DIM / 4u;
    let index = group.x + group.y * groups.x;
    let live = index < p.rows * p.heads;
    let at = min(index, p.rows * p.heads - 1u);
    let span = spans[at / p.heads];
    let kv_head = (at % p.heads) / (p.heads / p.kv_heads);
    var product = 0.0;
    if lane < quads {
        let grad = d_o[at * quads + lane];
        sh_q[lane] = q[at * quads + lane] * p.scale;
        sh_do[lane] = grad;
        product = dot(grad, o[at * quads + lane]);
    }
    // The barriers of the sum make both rows visible too.
    let d = reduce_sum(lane, product);
    let lse = stats[at].x;
    // A lane sums one quad of dq over every `keys`th key of a tile: quad lane % quads, first key lane / quads.
    let keys = WG / quads;
    let quad = lane % quads;
    let first = lane / quads;
    var sum = vec4<f32>();
    for (var start = span.x; start < span.y; start += WG) {
        let key = start + lane;
        var ds = 0.0;
        if key < span.y && (key < span.z || key >= span.w) {
            let base = (key * p.kv_heads + kv_head) * quads;
            var score = 0.0;
            var dp = 0.0;
            for (var i = 0u; i < quads; i++) {
                score += dot(sh_q[i], k[base + i]);
                dp += dot(sh_do[i], v[base + i]);
            }
            ds = exp(score - lse) * (dp - d);
        }
        sh_ds[lane] = ds;
        workgroupBarrier();
        if first < keys {
            for (var j = first; j < min(WG, span.y - start); j += keys) {
                sum += sh_ds[j] * k[((start + j) * p.kv_heads + kv_head) * quads + quad];
            }
        }
        workgroupBarrier();
    }
    sh_sums[lane] = sum;
    workgroupBarrier();
    if live && lane < quads {
        var total = vec4<f32>();
        for (var i = 0u; i < keys; i++) {
            total += sh_sums[i * quads + lane];
        }
        dq[at * quads + lane] = total * p.scale;
    }
    if live && lane == 0u {
        stats[at] = vec2<f32>(lse, d);
    }
}
