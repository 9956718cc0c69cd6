// A tile of sums, eight rows of y by eight columns, of which sixteen lanes have a share each: added up through
// workgroup memory, in a fixed order. All lanes must call `finish`.
// Needs the kernel's `store` and WG.

const LANES = 16u;

// Which units of columns are a lane's: this one, and every LANES-th after it.
fn share(lane: u32) -> u32 {
    return lane % LANES;
}

// Vec4 2i + half of every lane, one lane after another.
var<workgroup> sh_sums: array<vec4<f32>, 16u * WG>;

// The lane's share of row t0 + i of y, columns n .. n + 7.
fn put(lane: u32, t0: u32, n: u32, i: u32, sums: mat2x4<f32>) {
    sh_sums[2u * i * WG + lane] = sums[0];
    sh_sums[(2u * i + 1u) * WG + lane] = sums[1];
}

fn finish(lane: u32, t0: u32, n0: u32) {
    workgroupBarrier();
    // A lane adds up every WG-th number of the workgroup's tiles.
    for (var i = lane; i < 4u * WG; i += WG) {
        let tile = i / 64u;
        let row = i / 8u % 8u;
        let col = i % 8u;
        var total = 0.0;
        for (var l = 0u; l < LANES; l++) {
            total += sh_sums[(2u * row + col / 4u) * WG + tile * LANES + l][col % 4u];
        }
        store(t0 + row, n0 + 8u * tile + col, total);
    }
}
