// What is between the products of one row and its attention: the adapter's share, biases, the norms of heads, and RoPE
// (Su et al. 2021) on the way into q and the cache. One workgroup a head: of q, then of k, then of v; a lane a pair.

struct Params {
    heads: u32,
    kv_heads: u32,
    // Pairs of a head.
    half: u32,
    // Pairs are (2i, 2i+1); else (i, i + half).
    interleaved: u32,
    // Ranks of the adapter, or none.
    rank: u32,
    eps: f32,
    pad0: u32,
    pad1: u32,
    // Fours at which B of q, k and v start.
    b_at: vec4<u32>,
    // Elements of `extras` at which the biases of q, k and v start, and whether there are any.
    bias_at: vec4<u32>,
    // The same for the gains of the norms of q's and k's heads; whether there are any comes last.
    gain_at: vec4<u32>,
    // Fours at which what q, k and v are multiplied with starts; then 0 for nothing, 1 for before the bias, 2 for after.
    outputs: vec4<u32>,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
// [context, half]: cosine and sine.
@group(0) @binding(1) var<storage, read> table: array<vec2<f32>>;
// Position, and the row of the cache that the key goes to.
@group(0) @binding(2) var<storage, read> places: array<vec2<u32>>;
// q, k and v, and the adapter's u of each.
@group(0) @binding(3) var<storage, read> y: array<f32>;
@group(0) @binding(4) var<storage, read> extras: array<f32>;
@group(0) @binding(5) var<storage, read> lora: array<vec2<u32>>;
@group(0) @binding(6) var<storage, read_write> q: array<f32>;
// [capacity, kv_heads, 2 half]
@group(0) @binding(7) var<storage, read_write> k_cache: array<f32>;
@group(0) @binding(8) var<storage, read_write> v_cache: array<f32>;

#import common/lora
#import common/reduce

// Element `at` of what matrix `m` gave, which begins at `start` in y.
fn value(m: u32, start: u32, at: u32) -> f32 {
    var sum = y[start + at];
    let u_at = (p.heads + 2u * p.kv_heads) * 2u * p.half + m * p.rank;
    let b_at = p.b_at[m] + at / 4u * p.rank;
    for (var j = 0u; j < p.rank; j++) {
        sum += y[u_at + j] * lora_four(b_at + j)[at % 4u];
    }
    var factor = 1.0;
    if p.outputs.w != 0u {
        factor = output_factor(p.outputs[m], at);
    }
    var bias = 0.0;
    if p.bias_at.w != 0u {
        bias = extras[p.bias_at[m] + at];
    }
    return factor * sum + select(1.0, factor, p.outputs.w == 2u) * bias;
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let m = u32(group.x >= p.heads) + u32(group.x >= p.heads + p.kv_heads);
    let head = group.x - select(0u, p.heads, m > 0u) - select(0u, p.kv_heads, m > 1u);
    let width = 2u * p.half;
    let start = (group.x - head) * width;
    // Lanes past the end repeat the last pair, unstored.
    let live = lane < p.half;
    let i = min(lane, p.half - 1u);
    let first = select(i, 2u * i, p.interleaved != 0u);
    let second = first + select(p.half, 1u, p.interleaved != 0u);
    var a = value(m, start, head * width + first);
    var b = value(m, start, head * width + second);
    if p.gain_at.w != 0u {
        let total = reduce_sum(lane, select(0.0, a * a + b * b, live));
        if m < 2u {
            let scale = inverseSqrt(total / f32(width) + p.eps);
            a *= scale * extras[p.gain_at[m] + first];
            b *= scale * extras[p.gain_at[m] + second];
        }
    }
    let place = places[0];
    let turn = table[place.x * p.half + i];
    if live && m == 2u {
        let goal = (place.y * p.kv_heads + head) * width;
        v_cache[goal + first] = a;
        v_cache[goal + second] = b;
    } else if live {
        let turned = vec2<f32>(a * turn.x - b * turn.y, a * turn.y + b * turn.x);
        if m == 0u {
            q[head * width + first] = turned.x;
            q[head * width + second] = turned.y;
        } else {
            let goal = (place.y * p.kv_heads + head) * width;
            k_cache[goal + first] = turned.x;
            k_cache[goal + second] = turned.y;
        }
    }
}
