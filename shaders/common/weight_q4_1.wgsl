// A weight matrix in Q4_1, packed: 4 words of nibbles a block, then a word a block with d (low) and m (high).
// Value: q * d + m. Byte i holds element i (low nibble) and element i + 16 (high nibble).
// Needs the kernel's `load_word` (the matrix's words).

// Elements 4s..4s+3 and 16+4s..16+4s+3 of block `b`; scales start at word `scales_at`.
fn weight_pair(b: u32, s: u32, scales_at: u32) -> mat2x4<f32> {
    let word = scales_at + b;
    let dm = unpack2x16float(load_word(word));
    let q = load_word(4u * b + s);
    let low = vec4<f32>(unpack4xU8(q & 0x0f0f0f0fu));
    let high = vec4<f32>(unpack4xU8((q >> 4u) & 0x0f0f0f0fu));
    return mat2x4<f32>(low * dm.x + dm.y, high * dm.x + dm.y);
}
