// Rotates queries in place, and rotates keys on their way into a cache's rows, values with them (Su et al. 2021).
// One thread a pair of elements: of a query head, then of a key head, then of a value head, which is only copied.

struct Params {
    rows: u32,
    heads: u32,
    kv_heads: u32,
    // Pairs of a head.
    half: u32,
    // Pairs are (2i, 2i+1); else (i, i + half).
    interleaved: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
// [context, half]: cosine and sine.
@group(0) @binding(1) var<storage, read> table: array<vec2<f32>>;
// [rows]: position, and the row of the cache that the key goes to.
@group(0) @binding(2) var<storage, read> places: array<vec2<u32>>;
// [rows, kv_heads, 2 half]
@group(0) @binding(3) var<storage, read> k: array<f32>;
@group(0) @binding(4) var<storage, read> v: array<f32>;
// [rows, heads, 2 half]
@group(0) @binding(5) var<storage, read_write> q: array<f32>;
// [capacity, kv_heads, 2 half]
@group(0) @binding(6) var<storage, read_write> k_cache: array<f32>;
@group(0) @binding(7) var<storage, read_write> v_cache: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = (group.x + group.y * groups.x) * WG + lane;
    let i = index % p.half;
    let all_heads = p.heads + 2u * p.kv_heads;
    let head = (index / p.half) % all_heads;
    let t = index / p.half / all_heads;
    if t < p.rows {
        let place = places[t];
        let turn = table[place.x * p.half + i];
        let first = select(i, 2u * i, p.interleaved != 0u);
        let second = first + select(p.half, 1u, p.interleaved != 0u);
        let width = 2u * p.half;
        if head < p.heads {
            let start = (t * p.heads + head) * width;
            let a = q[start + first];
            let b = q[start + second];
            q[start + first] = a * turn.x - b * turn.y;
            q[start + second] = a * turn.y + b * turn.x;
        } else {
            let kv_head = (head - p.heads) % p.kv_heads;
            let source = (t * p.kv_heads + kv_head) * width;
            let goal = (place.y * p.kv_heads + kv_head) * width;
            if head < p.heads + p.kv_heads {
                let a = k[source + first];
                let b = k[source + second];
                k_cache[goal + first] = a * turn.x - b * turn.y;
                k_cache[goal + second] = a * turn.y + b * turn.x;
            } else {
                v_cache[goal + first] = v[source + first];
                v_cache[goal + second] = v[source + second];
            }
        }
    }
}
