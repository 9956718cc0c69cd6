// A tile of weights in workgroup memory as f32: what the type's blocks say, exactly. Needs nothing.

alias Four = vec4<f32>;
