// An adapter's factors in half floats, four a vec2 (`lora_pack`): A row by row, B by fours of its rows; and in f32, two a
// vec2, what outputs are multiplied with. Needs the kernel's `lora`.

fn lora_four(i: u32) -> vec4<f32> {
    let four = lora[i];
    return vec4<f32>(unpack2x16float(four.x), unpack2x16float(four.y));
}

// Factor `i` of those that start at `at`.
fn output_factor(at: u32, i: u32) -> f32 {
    return bitcast<f32>(lora[at + i / 2u][i % 2u]);
}
