// What products by cooperative matrices share: rows of the left operand as f16, and the way from sums to numbers.
// Each row is scaled by a power of two, so that its largest number is just under 2^14: nothing overflows f16, and what
// is 2^28 times smaller than a row's largest number still counts. Gradients need that; the scaling itself is exact.
// Needs SIDE and TILE, the kernel's WG, its `operand` (a number of the left operand, zero outside) and its `store`.

// [TILE rows, 32 columns] of the left operand.
var<workgroup> sh_left: array<f16, TILE * 32u>;
// Exponents that the tile's rows were multiplied with.
var<workgroup> sh_exponents: array<i32, TILE>;
// One matrix of sums for each of four subgroups.
var<workgroup> sh_sums: array<f32, TILE * SIDE>;

// A lane's place among subgroups, whatever their size.
struct Place {
    subgroup: u32,
    subgroups: u32,
    lane: u32,
    lanes: u32,
}

// Finds the exponents of rows t0.. of `cols` columns; a barrier must follow.
fn scale_rows(t0: u32, cols: u32, place: Place) {
    for (var row = place.subgroup; row < TILE; row += place.subgroups) {
        var most = 0.0;
        for (var i = place.lane; i < cols; i += place.lanes) {
            most = max(most, abs(operand(t0 + row, i)));
        }
        let exponent = 14 - frexp(subgroupMax(most)).exp;
        if place.lane == 0u {
            sh_exponents[row] = min(exponent, 120);
        }
    }
}

// Puts columns i0..i0+32 of rows t0.. in place; a barrier must follow.
fn load_left(t0: u32, i0: u32, lane: u32) {
    for (var at = lane; at < TILE * 32u; at += WG) {
        let row = at / 32u;
        let scale = ldexp(1.0, sh_exponents[row]);
        sh_left[at] = f16(operand(t0 + row, i0 + at % 32u) * scale);
    }
}

// Stores matrix (i, j) of each of four subgroups' two by two, after a barrier; the subgroups lie two by two in the tile.
fn store_sums(t0: u32, c0: u32, i: u32, j: u32, lane: u32) {
    for (var at = lane; at < TILE * SIDE; at += WG) {
        let subgroup = at / (SIDE * SIDE);
        let row = SIDE * (2u * (subgroup / 2u) + i) + at / SIDE % SIDE;
        let col = SIDE * (2u * (subgroup % 2u) + j) + at % SIDE;
        store(t0 + row, c0 + col, sh_sums[at] * ldexp(1.0, -sh_exponents[row]));
    }
}
