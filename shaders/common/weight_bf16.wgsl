// A weight matrix in BF16: block b of 32 elements is 16 words at 16b, two values a word, each the upper half of an f32.
// Needs the kernel's `load` (the matrix's vec4s).

fn weight_four(word: u32) -> vec4<f32> {
    let four = load(word / 4u);
    let two = select(four.xy, four.zw, (word & 2u) != 0u);
    let bits = vec4<u32>(two.x << 16u, two.x & 0xffff0000u, two.y << 16u, two.y & 0xffff0000u);
    return bitcast<vec4<f32>>(bits);
}

// Elements 4s..4s+3 and 16+4s..16+4s+3 of block `b`; `scales_at` is unused by this type.
fn weight_pair(b: u32, s: u32, scales_at: u32) -> mat2x4<f32> {
    let word = 16u * b + 2u * s;
    return mat2x4<f32>(weight_four(word), weight_four(word + 8u));
}
