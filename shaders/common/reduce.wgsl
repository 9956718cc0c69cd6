// Reductions over a workgroup of WG lanes (a power of two) through workgroup memory, in a fixed order.
// Knows nothing of what is reduced. All lanes must call, and all get the result.

var<workgroup> sh_reduce: array<f32, WG>;

fn reduce_sum(lane: u32, value: f32) -> f32 {
    sh_reduce[lane] = value;
    workgroupBarrier();
    for (var step = WG / 2u; step > 0u; step >>= 1u) {
        if lane < step {
            sh_reduce[lane] += sh_reduce[lane + step];
        }
        workgroupBarrier();
    }
    let total = sh_reduce[0];
    // The next call overwrites what other lanes may still be reading.
    workgroupBarrier();
    return total;
}

fn reduce_max(lane: u32, value: f32) -> f32 {
    sh_reduce[lane] = value;
    workgroupBarrier();
    for (var step = WG / 2u; step > 0u; step >>= 1u) {
        if lane < step {
            sh_reduce[lane] = max(sh_reduce[lane], sh_reduce[lane + step]);
        }
        workgroupBarrier();
    }
    let most = sh_reduce[0];
    workgroupBarrier();
    return most;
}
