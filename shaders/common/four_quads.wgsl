// Four numbers side by side that all lanes want: each of four lanes reads one of them and tells the others. A quarter of
// the reads, where lanes read one after another. All lanes must call, for the same place. Needs the kernel's `one_at`.
enable subgroups;

fn place_in_quad() -> u32 {
    return subgroupExclusiveAdd(1u) % 4u;
}

// Numbers i .. i + 3 of row `t`.
fn four(t: u32, i: u32, place: u32) -> vec4<f32> {
    let one = one_at(t, i, place);
    return vec4<f32>(
        quadBroadcast(one, 0u),
        quadBroadcast(one, 1u),
        quadBroadcast(one, 2u),
        quadBroadcast(one, 3u),
    );
}
