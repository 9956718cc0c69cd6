// A unit of x (8 numbers of a block of 32) as it is, and its product with the weights of the same places.
// Needs the type's `weight_pair`.

struct Unit {
    low: vec4<f32>,
    high: vec4<f32>,
}

fn unit_of(low: vec4<f32>, high: vec4<f32>) -> Unit {
    return Unit(low, high);
}

// Unit `s` of block `b` of the matrix times `x`.
fn unit_dot(b: u32, s: u32, scales_at: u32, x: Unit) -> f32 {
    let pair = weight_pair(b, s, scales_at);
    return dot(pair[0], x.low) + dot(pair[1], x.high);
}
