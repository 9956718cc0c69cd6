// Four sums at once over a workgroup of WG lanes (a power of two) through workgroup memory, in a fixed order.
// Knows nothing of what is added up. All lanes must call, and all get the result.

var<workgroup> sh_reduce4: array<vec4<f32>, WG>;

fn reduce_sum4(lane: u32, values: vec4<f32>) -> vec4<f32> {
    sh_reduce4[lane] = values;
    workgroupBarrier();
    for (var step = WG / 2u; step > 0u; step >>= 1u) {
        if lane < step {
            sh_reduce4[lane] += sh_reduce4[lane + step];
        }
        workgroupBarrier();
    }
    return sh_reduce4[0];
}
