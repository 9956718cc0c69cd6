// A tile of weights in workgroup memory as f16, half the bytes: each is rounded by at most one part in 2048.
// Sums and the other operand stay f32. Needs weights below 65504.
enable f16;

alias Four = vec4<f16>;
