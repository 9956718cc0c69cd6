// y[t] = row tokens[t] of a weight matrix, one workgroup a token.
// Only the rows of one part of the matrix are written: a token of another part is another dispatch's.

struct Params {
    // Tokens.
    rows: u32,
    cols: u32,
    // The part's first row and its rows.
    row: u32,
    n: u32,
    scales_at: u32,
    // The weights' type, for the CPU twin.
    ty: u32,
    pad0: u32,
    pad1: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> w: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> tokens: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

fn load(i: u32) -> vec4<u32> {
    return w[i];
}

fn load_word(i: u32) -> u32 {
    return w[i / 4u][i % 4u];
}

#import weight

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let t = group.x + group.y * groups.x;
    if t < p.rows {
        // A token below the part wraps to a number above it.
        let row = tokens[t] - p.row;
        let blocks = p.cols / 32u;
        if row < p.n {
            for (var unit = lane; unit < 4u * blocks; unit += WG) {
                let block = unit / 4u;
                let s = unit % 4u;
                let pair = weight_pair(row * blocks + block, s, p.scales_at);
                let at = 8u * (t * blocks + block) + s;
                y[at] = pair[0];
                y[at + 4u] = pair[1];
            }
        }
    }
}
