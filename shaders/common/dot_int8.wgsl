// A unit of x (8 numbers of a block of 32) as i8 with a scale, and its product with the weights' own integers, four a
// word. llama.cpp's Q8_1 has a scale for 32 numbers; one for the 8 that a lane holds is finer and asks no other lane.
// Needs the type's `weight_quants` and `weight_lines`.

struct Unit {
    low: u32,
    high: u32,
    scale: f32,
    // Sums of the i8 of the two halves: what the weights' offsets are multiplied with.
    low_sum: f32,
    high_sum: f32,
}

fn unit_of(low: vec4<f32>, high: vec4<f32>) -> Unit {
    let size = max(abs(low), abs(high));
    let most = max(max(size.x, size.y), max(size.z, size.w));
    // The inverse of a smaller number may overflow; such a unit is zero beside all others.
    let inverse = select(0.0, 127.0 / most, most > 1.0e-30);
    let low_bytes = pack4xI8(vec4<i32>(round(low * inverse)));
    let high_bytes = pack4xI8(vec4<i32>(round(high * inverse)));
    let ones = 0x01010101u;
    let low_sum = f32(dot4I8Packed(low_bytes, ones));
    let high_sum = f32(dot4I8Packed(high_bytes, ones));
    return Unit(low_bytes, high_bytes, most / 127.0, low_sum, high_sum);
}

// Unit `s` of block `b` of the matrix times `x`.
fn unit_dot(b: u32, s: u32, scales_at: u32, x: Unit) -> f32 {
    let q = weight_quants(b, s, scales_at);
    let low = f32(dot4I8Packed(q.x, x.low));
    let high = f32(dot4I8Packed(q.y, x.high));
    return x.scale * dot(weight_lines(b, scales_at), vec4<f32>(low, x.low_sum, high, x.high_sum));
}
