// A weight matrix in Q6_K, packed: 4 words of nibbles a block of 32, then 2 words of upper pairs of bits a block, then 4
// words for each 8 blocks with two i8 scales a block, then all f16 d, two a word. Value: (q - 32) * d * scale.
// Byte k of a block's pairs holds those of elements k, k + 16, k + 8, k + 24, from its low bits on.
// Needs the kernel's `load_word` (the matrix's words).

#import common/bytes

// Steps of elements 0..16 and 16..32 of block `b`; `blocks` is the matrix part's number of blocks of 32.
fn weight_steps(b: u32, blocks: u32, scales_at: u32) -> vec2<f32> {
    let group = b / 8u;
    let word = scales_at + blocks / 2u + group / 2u;
    let two = unpack2x16float(load_word(word));
    let d = select(two.x, two.y, (group & 1u) == 1u);
    let scales = signed_bytes(load_word(scales_at + 4u * group + (b % 8u) / 2u));
    return d * select(scales.xy, scales.zw, (b & 1u) == 1u);
}

// The quants of elements 4s..4s+3 and 16+4s..16+4s+3 of block `b`, a byte each.
fn weight_quants(b: u32, s: u32, scales_at: u32) -> vec2<u32> {
    let word = 4u * (scales_at / 6u) + 2u * b + (s & 1u);
    let pairs = load_word(word) >> (4u * (s / 2u));
    let q = load_word(4u * b + s);
    let low = (q & 0x0f0f0f0fu) | ((pairs & 0x03030303u) << 4u);
    let high = ((q >> 4u) & 0x0f0f0f0fu) | (((pairs >> 2u) & 0x03030303u) << 4u);
    return vec2<u32>(low, high);
}

// Step and offset of the lower 16 elements of block `b`, then of the upper 16: value = quant * step + offset.
fn weight_lines(b: u32, scales_at: u32) -> vec4<f32> {
    return weight_steps(b, scales_at / 6u, scales_at).xxyy * vec4<f32>(1.0, -32.0, 1.0, -32.0);
}

// Elements 4s..4s+3 and 16+4s..16+4s+3 of block `b`; scales start at word `scales_at`, after 6 words a block.
fn weight_pair(b: u32, s: u32, scales_at: u32) -> mat2x4<f32> {
    let steps = weight_steps(b, scales_at / 6u, scales_at);
    let q = weight_quants(b, s, scales_at);
    let low = unsigned_bytes(q.x);
    let high = unsigned_bytes(q.y);
    return mat2x4<f32>((low - 32.0) * steps.x, (high - 32.0) * steps.y);
}
