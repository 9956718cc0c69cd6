// A weight matrix in Q4_0, packed: 4 words of nibbles a block, then all f16 scales, two a word.
// Value: (q - 8) * d. Byte i holds element i (low nibble) and element i + 16 (high nibble).
// Needs the kernel's `load_word` (the matrix's words).

#import common/bytes

fn weight_scale(scales_at: u32, b: u32) -> f32 {
    let word = scales_at + b / 2u;
    let two = unpack2x16float(load_word(word));
    return select(two.x, two.y, (b & 1u) == 1u);
}

// The quants of elements 4s..4s+3 and 16+4s..16+4s+3 of block `b`, a byte each.
fn weight_quants(b: u32, s: u32, scales_at: u32) -> vec2<u32> {
    let q = load_word(4u * b + s);
    return vec2<u32>(q & 0x0f0f0f0fu, (q >> 4u) & 0x0f0f0f0fu);
}

// Step and offset of the lower 16 elements of block `b`, then of the upper 16: value = quant * step + offset.
fn weight_lines(b: u32, scales_at: u32) -> vec4<f32> {
    let d = weight_scale(scales_at, b);
    return vec2<f32>(d, -8.0 * d).xyxy;
}

// Elements 4s..4s+3 and 16+4s..16+4s+3 of block `b`; scales start at word `scales_at`.
fn weight_pair(b: u32, s: u32, scales_at: u32) -> mat2x4<f32> {
    let d = weight_scale(scales_at, b);
    let q = weight_quants(b, s, scales_at);
    let low = unsigned_bytes(q.x);
    let high = unsigned_bytes(q.y);
    return mat2x4<f32>((low - 8.0) * d, (high - 8.0) * d);
}
