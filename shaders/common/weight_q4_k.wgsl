// A weight matrix in Q4_K, packed: 4 words of nibbles a block of 32, then 4 words for each 8 blocks: d (low) and dmin
// (high), then 12 bytes of 6-bit scales and minima. Value: q * d * scale - dmin * minimum.
// Needs the kernel's `load` (the matrix's vec4s) and `load_word` (its words).

#import common/bytes
#import common/weight_k_step

// The quants of elements 4s..4s+3 and 16+4s..16+4s+3 of block `b`, a byte each.
fn weight_quants(b: u32, s: u32, scales_at: u32) -> vec2<u32> {
    let q = load_word(4u * b + s);
    return vec2<u32>(q & 0x0f0f0f0fu, (q >> 4u) & 0x0f0f0f0fu);
}

// Step and offset of the lower 16 elements of block `b`, then of the upper 16: value = quant * step + offset.
fn weight_lines(b: u32, scales_at: u32) -> vec4<f32> {
    let step = weight_step(load(scales_at / 4u + b / 8u), b);
    return vec2<f32>(step.x, -step.y).xyxy;
}

// Elements 4s..4s+3 and 16+4s..16+4s+3 of block `b`; heads start at word `scales_at`.
fn weight_pair(b: u32, s: u32, scales_at: u32) -> mat2x4<f32> {
    let step = weight_step(load(scales_at / 4u + b / 8u), b);
    let q = weight_quants(b, s, scales_at);
    let low = unsigned_bytes(q.x);
    let high = unsigned_bytes(q.y);
    return mat2x4<f32>(low * step.x - step.y, high * step.x - step.y);
}
