// A weight matrix in Q5_0, packed: 4 words of nibbles a block, then a word of fifth bits a block, then all f16 scales,
// two a word. Value: (q - 16) * d. Nibbles as in Q4_0; bit i of the word is the fifth bit of element i.
// Needs the kernel's `load_word` (the matrix's words).

#import common/bytes

fn weight_scale(scales_at: u32, b: u32) -> f32 {
    let word = scales_at + b / 2u;
    let two = unpack2x16float(load_word(word));
    return select(two.x, two.y, (b & 1u) == 1u);
}

// The lowest four bits, each as the fifth bit of a byte.
fn weight_fifth(bits: u32) -> u32 {
    return (((bits & 15u) * 0x00204081u) & 0x01010101u) << 4u;
}

// The quants of elements 4s..4s+3 and 16+4s..16+4s+3 of block `b`, a byte each.
fn weight_quants(b: u32, s: u32, scales_at: u32) -> vec2<u32> {
    let fifth = load_word(scales_at / 5u * 4u + b) >> (4u * s);
    let q = load_word(4u * b + s);
    let low = (q & 0x0f0f0f0fu) | weight_fifth(fifth);
    let high = ((q >> 4u) & 0x0f0f0f0fu) | weight_fifth(fifth >> 16u);
    return vec2<u32>(low, high);
}

// Step and offset of the lower 16 elements of block `b`, then of the upper 16: value = quant * step + offset.
fn weight_lines(b: u32, scales_at: u32) -> vec4<f32> {
    let d = weight_scale(scales_at, b);
    return vec2<f32>(d, -16.0 * d).xyxy;
}

// Elements 4s..4s+3 and 16+4s..16+4s+3 of block `b`; scales start at word `scales_at`, after 5 words a block.
fn weight_pair(b: u32, s: u32, scales_at: u32) -> mat2x4<f32> {
    let d = weight_scale(scales_at, b);
    let q = weight_quants(b, s, scales_at);
    let low = unsigned_bytes(q.x);
    let high = unsigned_bytes(q.y);
    return mat2x4<f32>((low - 16.0) * d, (high - 16.0) * d);
}
