// Chains of fused multiplications and additions in registers, eight independent vectors a lane: the arithmetic peak that
// other kernels are held against. Each value goes to the fixed point b / (1 - a), which a test knows.

struct Params {
    steps: u32,
    a: f32,
    b: f32,
    pad: u32,
}

override WG: u32;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = group.x * WG + lane;
    let a = vec4<f32>(p.a);
    let b = vec4<f32>(p.b);
    var v0 = x[at];
    var v1 = v0 + 1.0;
    var v2 = v0 + 2.0;
    var v3 = v0 + 3.0;
    var v4 = v0 + 4.0;
    var v5 = v0 + 5.0;
    var v6 = v0 + 6.0;
    var v7 = v0 + 7.0;
    for (var i = 0u; i < p.steps; i += 1u) {
        v0 = fma(v0, a, b);
        v1 = fma(v1, a, b);
        v2 = fma(v2, a, b);
        v3 = fma(v3, a, b);
        v4 = fma(v4, a, b);
        v5 = fma(v5, a, b);
        v6 = fma(v6, a, b);
        v7 = fma(v7, a, b);
    }
    y[at] = ((v0 + v1) + (v2 + v3)) + ((v4 + v5) + (v6 + v7));
}
