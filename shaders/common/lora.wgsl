// An adapter's factors in half floats, four a vec2 (`lora_pack`): A row by row, B by fours of its rows.
// Needs the kernel's `lora`.

fn lora_four(i: u32) -> vec4<f32> {
    let four = lora[i];
    return vec4<f32>(unpack2x16float(four.x), unpack2x16float(four.y));
}
