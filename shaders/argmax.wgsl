// ids[t] = index of the largest logit of row t, the lowest where several are; one workgroup a row.

struct Params {
    rows: u32,
    cols: u32,
    pad0: u32,
    pad1: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> ids: array<u32>;

var<workgroup> sh_best: array<f32, WG>;
var<workgroup> sh_id: array<u32, WG>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    let start = min(row, p.rows - 1u) * p.cols;
    // A lane without columns repeats the last one, which changes nothing.
    var id = min(lane, p.cols - 1u);
    var best = logits[start + id];
    for (var i = lane + WG; i < p.cols; i += WG) {
        let value = logits[start + i];
        if value > best {
            best = value;
            id = i;
        }
    }
    sh_best[lane] = best;
    sh_id[lane] = id;
    workgroupBarrier();
    for (var step = WG / 2u; step > 0u; step >>= 1u) {
        if lane < step {
            let other = sh_best[lane + step];
            let other_id = sh_id[lane + step];
            let tie = other == sh_best[lane] && other_id < sh_id[lane];
            if other > sh_best[lane] || tie {
                sh_best[lane] = other;
                sh_id[lane] = other_id;
            }
        }
        workgroupBarrier();
    }
    if lane == 0u && row < p.rows {
        ids[row] = sh_id[0];
    }
}
