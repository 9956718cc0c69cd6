// Draws one of a row's k most likely ids by temperature and nucleus (Holtzman et al. 2020); `best` is top_k's row.
// One thread: at most 64 candidates, and the sums must be in one order.

struct Params {
    k: u32,
    temperature: f32,
    top_p: f32,
    // Uniform in [0, 1).
    u: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
// k ids, k logits as bits, most likely first.
@group(0) @binding(1) var<storage, read> best: array<u32>;
@group(0) @binding(2) var<storage, read_write> id: array<u32>;

fn weight(i: u32) -> f32 {
    let top = bitcast<f32>(best[p.k]);
    return exp((bitcast<f32>(best[p.k + i]) - top) / p.temperature);
}

@compute @workgroup_size(1)
fn main() {
    var total = 0.0;
    for (var i = 0u; i < p.k; i++) {
        total += weight(i);
    }
    // Candidates until their share reaches top_p, the first one always.
    var kept = 0.0;
    var n = 0u;
    for (; n < p.k; n++) {
        if n > 0u && kept >= p.top_p * total {
            break;
        }
        kept += weight(n);
    }
    var at = p.u * kept;
    var chosen = n - 1u;
    for (var i = 0u; i < n; i++) {
        let share = weight(i);
        if at < share {
            chosen = i;
            break;
        }
        at -= share;
    }
    id[0] = best[chosen];
}
