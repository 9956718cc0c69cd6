// KL(q || p) of each row, q = softmax(teacher), p = softmax(logits), and its gradient in place of the logits; one
// workgroup a row: loss = sum q (log q - log p); l = (p - q) weight.

struct Params {
    rows: u32,
    cols: u32,
    pad0: u32,
    pad1: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> teacher: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> logits: array<f32>;
@group(0) @binding(4) var<storage, read_write> loss: array<f32>;

#import common/reduce

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    let at = min(row, p.rows - 1u);
    let start = at * p.cols;
    var most = vec2<f32>(-1.0e30);
    for (var i = lane; i < p.cols; i += WG) {
        most = max(most, vec2<f32>(teacher[start + i], logits[start + i]));
    }
    let q_peak = reduce_max(lane, most.x);
    let p_peak = reduce_max(lane, most.y);
    var sum = vec2<f32>();
    for (var i = lane; i < p.cols; i += WG) {
        sum += exp(vec2<f32>(teacher[start + i] - q_peak, logits[start + i] - p_peak));
    }
    let q_total = reduce_sum(lane, sum.x);
    let p_total = reduce_sum(lane, sum.y);
    let q_log = log(q_total);
    let p_log = log(p_total);
    let weight = weights[at];
    var divergence = 0.0;
    for (var i = lane; i < p.cols; i += WG) {
        let q_score = teacher[start + i] - q_peak - q_log;
        let p_score = logits[start + i] - p_peak - p_log;
        let q = exp(q_score);
        divergence += q * (q_score - p_score);
        if row < p.rows {
            logits[start + i] = (exp(p_score) - q) * weight;
        }
    }
    let total = reduce_sum(lane, divergence);
    if lane == 0u && row < p.rows {
        loss[row] = total;
    }
}
