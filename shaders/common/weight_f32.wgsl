// A weight matrix in f32: block b of 32 elements is 8 vec4s at 8b. Needs the kernel's `load` (the matrix's vec4s).

// Elements 4s..4s+3 and 16+4s..16+4s+3 of block `b`; `scales_at` is unused by this type.
fn weight_pair(b: u32, s: u32, scales_at: u32) -> mat2x4<f32> {
    let first = load(8u * b + s);
    let second = load(8u * b + 4u + s);
    return mat2x4<f32>(bitcast<vec4<f32>>(first), bitcast<vec4<f32>>(second));
}
