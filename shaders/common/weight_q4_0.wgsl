// A weight matrix in Q4_0, packed: 4 words of nibbles a block, then all f16 scales, two a word.
// Value: (q - 8) * d. Byte i holds element i (low nibble) and element i + 16 (high nibble).
// Needs the kernel's `load_word` (the matrix's words).

fn weight_scale(scales_at: u32, b: u32) -> f32 {
    let word = scales_at + b / 2u;
    let two = unpack2x16float(load_word(word));
    return select(two.x, two.y, (b & 1u) == 1u);
}

// Elements 4s..4s+3 and 16+4s..16+4s+3 of block `b`; scales start at word `scales_at`.
fn weight_pair(b: u32, s: u32, scales_at: u32) -> mat2x4<f32> {
    let d = weight_scale(scales_at, b);
    let q = load_word(4u * b + s);
    let low = vec4<f32>(unpack4xU8(q & 0x0f0f0f0fu));
    let high = vec4<f32>(unpack4xU8((q >> 4u) & 0x0f0f0f0fu));
    return mat2x4<f32>((low - 8.0) * d, (high - 8.0) * d);
}
