// The head of 8 blocks of Q4_K and Q5_K: d (low) and dmin (high), then 12 bytes of 6-bit scales and minima.
// Knows nothing of the quants.

// Step and minimum of block `b`, from its head.
fn weight_step(head: vec4<u32>, b: u32) -> vec2<f32> {
    let shift = 8u * (b % 4u);
    let scale = head.y >> shift;
    let minimum = head.z >> shift;
    let both = head.w >> shift;
    let first = vec2<u32>(scale & 63u, minimum & 63u);
    let upper = vec2<u32>((scale >> 2u) & 48u, (minimum >> 2u) & 48u);
    let second = vec2<u32>(both & 15u, (both >> 4u) & 15u) | upper;
    return unpack2x16float(head.x) * vec2<f32>(select(first, second, (b & 4u) != 0u));
}
