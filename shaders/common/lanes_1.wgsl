// A tile of sums, eight rows of y by eight columns, that one lane has whole: nothing is added up.
// Needs the kernel's `store`.

const LANES = 1u;

// Which units of columns are a lane's: this one, and every LANES-th after it.
fn share(lane: u32) -> u32 {
    return 0u;
}

// The sums of row t0 + i of y, columns n .. n + 7.
fn put(lane: u32, t0: u32, n: u32, i: u32, sums: mat2x4<f32>) {
    store(t0 + i, n, sums[0].x);
    store(t0 + i, n + 1u, sums[0].y);
    store(t0 + i, n + 2u, sums[0].z);
    store(t0 + i, n + 3u, sums[0].w);
    store(t0 + i, n + 4u, sums[1].x);
    store(t0 + i, n + 5u, sums[1].y);
    store(t0 + i, n + 6u, sums[1].z);
    store(t0 + i, n + 7u, sums[1].w);
}

fn finish(lane: u32, t0: u32, n0: u32) {
}
