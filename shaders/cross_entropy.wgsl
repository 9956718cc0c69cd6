// Negative log-likelihood of each row's label, and its gradient in place of the logits; one workgroup a row:
// loss = LSE - l[label]; l = (softmax(l) - onehot(label)) weight.

struct Params {
    rows: u32,
    cols: u32,
    pad0: u32,
    pad1: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
// A label past the columns is none: the row's loss and gradient are zero.
@group(0) @binding(1) var<storage, read> labels: array<u32>;
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
    var most = -1.0e30;
    for (var i = lane; i < p.cols; i += WG) {
        most = max(most, logits[start + i]);
    }
    let peak = reduce_max(lane, most);
    var sum = 0.0;
    for (var i = lane; i < p.cols; i += WG) {
        sum += exp(logits[start + i] - peak);
    }
    let total = reduce_sum(lane, sum);
    if row < p.rows {
        let label = labels[at];
        let weight = select(0.0, weights[at], label < p.cols);
        for (var i = lane; i < p.cols; i += WG) {
            let logit = logits[start + i];
            let probability = exp(logit - peak) / total;
            logits[start + i] = (probability - select(0.0, 1.0, i == label)) * weight;
            if i == label {
                loss[row] = peak + log(total) - logit;
            }
        }
        if lane == 0u && label >= p.cols {
            loss[row] = 0.0;
        }
    }
}
