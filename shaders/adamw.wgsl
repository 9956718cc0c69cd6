// One step of AdamW on flat buffers (Loshchilov & Hutter 2019): decoupled decay, bias-corrected moments, the gradient
// scaled down to the norm `clip` where it is longer (0: never).

struct Params {
    n: u32,
    lr: f32,
    beta1: f32,
    beta2: f32,
    eps: f32,
    weight_decay: f32,
    clip: f32,
    // 1 / (1 - beta^step)
    correct1: f32,
    correct2: f32,
    // The factor on the rate of those whose place in a period is in one of seven spans: first, behind the last.
    ratio: f32,
    period: u32,
    // The first parameter's place.
    at: u32,
    spans: array<vec4<u32>, 4>,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> g: array<f32>;
// One number: the sum of the squares of g.
@group(0) @binding(2) var<storage, read> norm: array<f32>;
@group(0) @binding(3) var<storage, read_write> w: array<f32>;
@group(0) @binding(4) var<storage, read_write> m: array<f32>;
@group(0) @binding(5) var<storage, read_write> v: array<f32>;

fn rate(i: u32) -> f32 {
    let place = (p.at + i) % p.period;
    var faster = false;
    for (var s = 0u; s < 4u; s++) {
        let two = p.spans[s];
        faster = faster || (place >= two.x && place < two.y) || (place >= two.z && place < two.w);
    }
    return select(1.0, p.ratio, faster) * p.lr;
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WG + lane;
    if i < p.n {
        var shrink = 1.0;
        if p.clip > 0.0 && norm[0] > p.clip * p.clip {
            shrink = p.clip / sqrt(norm[0]);
        }
        let grad = g[i] * shrink;
        let first = p.beta1 * m[i] + (1.0 - p.beta1) * grad;
        let second = p.beta2 * v[i] + (1.0 - p.beta2) * grad * grad;
        let direction = first * p.correct1 / (sqrt(second * p.correct2) + p.eps);
        m[i] = first;
        v[i] = second;
        w[i] -= rate(i) * (direction + p.weight_decay * w[i]);
    }
}
