// Four numbers side by side that each lane reads by itself. Needs the kernel's `four_at`.

fn place_in_quad() -> u32 {
    return 0u;
}

// Numbers i .. i + 3 of row `t`.
fn four(t: u32, i: u32, place: u32) -> vec4<f32> {
    return four_at(t, i);
}
