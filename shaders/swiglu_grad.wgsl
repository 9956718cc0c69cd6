// The gradients of h = silu(a) b, element by element, with sig = 1 / (1 + exp(-a)):
// da = dh b sig (1 + a (1 - sig)); db = dh a sig.

struct Params {
    n: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> dh: array<f32>;
@group(0) @binding(4) var<storage, read_write> da: array<f32>;
@group(0) @binding(5) var<storage, read_write> db: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.x + group.y * groups.x) * WG + lane;
    if i < p.n {
        let gate = a[i];
        let sig = 1.0 / (1.0 + exp(min(-gate, 80.0)));
        da[i] = dh[i] * b[i] * sig * (1.0 + gate * (1.0 - sig));
        db[i] = dh[i] * gate * sig;
    }
}
