// Four sums at once over a workgroup of WG lanes, in a fixed order: each subgroup adds up what all lanes wrote.
// One barrier instead of one a halving, and nothing is asked of how many lanes a subgroup has, which ones they are, or
// whether all of its lanes run. All lanes must call, and all get the result.
enable subgroups;

var<workgroup> sh_reduce4: array<vec4<f32>, WG>;

fn reduce_sum4(lane: u32, values: vec4<f32>) -> vec4<f32> {
    sh_reduce4[lane] = values;
    let lanes = subgroupAdd(1u);
    let rank = subgroupExclusiveAdd(1u);
    workgroupBarrier();
    var sum = vec4<f32>();
    for (var i = rank; i < WG; i += lanes) {
        sum += sh_reduce4[i];
    }
    return subgroupAdd(sum);
}
