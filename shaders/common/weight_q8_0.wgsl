// A weight matrix in Q8_0, packed: 8 words of i8 a block, then all f16 scales, two a word. Value: q * d.
// Needs the kernel's `load_word` (the matrix's words).

#import common/bytes

fn weight_scale(scales_at: u32, b: u32) -> f32 {
    let word = scales_at + b / 2u;
    let two = unpack2x16float(load_word(word));
    return select(two.x, two.y, (b & 1u) == 1u);
}

// The quants of elements 4s..4s+3 and 16+4s..16+4s+3 of block `b`, a byte each.
fn weight_quants(b: u32, s: u32, scales_at: u32) -> vec2<u32> {
    return vec2<u32>(load_word(8u * b + s), load_word(8u * b + 4u + s));
}

// Step and offset of the lower 16 elements of block `b`, then of the upper 16: value = quant * step + offset.
fn weight_lines(b: u32, scales_at: u32) -> vec4<f32> {
    return vec2<f32>(weight_scale(scales_at, b), 0.0).xyxy;
}

// Elements 4s..4s+3 and 16+4s..16+4s+3 of block `b`; scales start at word `scales_at`.
fn weight_pair(b: u32, s: u32, scales_at: u32) -> mat2x4<f32> {
    let d = weight_scale(scales_at, b);
    let q = weight_quants(b, s, scales_at);
    return mat2x4<f32>(signed_bytes(q.x) * d, signed_bytes(q.y) * d);
}
