// The repetition penalty of CTRL (Keskar et al. 2019) on the logits of distinct ids: l / penalty where l > 0, else
// l * penalty.

struct Params {
    n: u32,
    cols: u32,
    penalty: f32,
    pad0: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> logits: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WG + lane;
    if i < p.n {
        let id = ids[i];
        if id < p.cols {
            let logit = logits[id];
            logits[id] = select(logit * p.penalty, logit / p.penalty, logit > 0.0);
        }
    }
}
