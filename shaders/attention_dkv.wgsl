// dk and dv of attention, one workgroup a (key, key head): it walks the query heads of its group and, WG at a time,
// the query rows that see the key. dv = Pᵀ do, dk = dSᵀ q / sqrt(hd); no two workgroups write the same number.

struct Params {
    // Keys.
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
@group(0) @binding(4) var<storage, read> d_o: array<vec4<f32>>;
// [query rows, heads]: log-sum-exp, D.
@group(0) @binding(5) var<storage, read> stats: array<vec2<f32>>;
// [keys]: the first query row that sees the key, and the one after the last.
@group(0) @binding(6) var<storage, read> key_spans: array<vec2<u32>>;
@group(0) @binding(7) var<storage, read_write> dk: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> dv: array<vec4<f32>>;

const QUADS = 32u;

var<workgroup> sh_k: array<vec4<f32>, QUADS>;
var<workgroup> sh_v: array<vec4<f32>, QUADS>;
// Of each row of the tile: P and dS.
var<workgroup> sh_weights: array<vec2<f32>, WG>;
var<workgroup> sh_dk: array<vec4<f32>, WG>;
var<workgroup> sh_dv: array<vec4<f32>, WG>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let quads = HEAD_DIM / 4u;
    let index = group.x + group.y * groups.x;
    let live = index < p.rows * p.kv_heads;
    let at = min(index, p.rows * p.kv_heads - 1u);
    let span = key_spans[at / p.kv_heads];
    let share = p.heads / p.kv_heads;
    let head0 = (at % p.kv_heads) * share;
    if lane < quads {
        sh_k[lane] = k[at * quads + lane] * p.scale;
        sh_v[lane] = v[at * quads + lane];
    }
    workgroupBarrier();
    // A lane sums one quad over every `tiles`th row of a tile: quad lane % quads, first row lane / quads.
    let rows = WG / quads;
    let quad = lane % quads;
    let first = lane / quads;
    var dk_sum = vec4<f32>();
    var dv_sum = vec4<f32>();
    for (var head = head0; head < head0 + share; head++) {
        for (var start = span.x; start < span.y; start += WG) {
            let row = start + lane;
            var weights = vec2<f32>();
            if row < span.y {
                let base = (row * p.heads + head) * quads;
                var score = 0.0;
                var dp = 0.0;
                for (var i = 0u; i < quads; i++) {
                    score += dot(q[base + i], sh_k[i]);
                    dp += dot(d_o[base + i], sh_v[i]);
                }
                let stat = stats[row * p.heads + head];
                let probability = exp(score - stat.x);
                weights = vec2<f32>(probability, probability * (dp - stat.y));
            }
            sh_weights[lane] = weights;
            workgroupBarrier();
            if first < rows {
                for (var j = first; j < min(WG, span.y - start); j += rows) {
                    let base = ((start + j) * p.heads + head) * quads + quad;
                    dv_sum += sh_weights[j].x * d_o[base];
                    dk_sum += sh_weights[j].y * q[base];
                }
            }
            workgroupBarrier();
        }
    }
    sh_dk[lane] = dk_sum;
    sh_dv[lane] = dv_sum;
    workgroupBarrier();
    if live && lane < quads {
        var dk_total = vec4<f32>();
        var dv_total = vec4<f32>();
        for (var i = 0u; i < rows; i++) {
            dk_total += sh_dk[i * quads + lane];
            dv_total += sh_dv[i * quads + lane];
        }
        dk[at * quads + lane] = dk_total * p.scale;
        dv[at * quads + lane] = dv_total;
    }
}
