// Four products with norm(x), one row x a workgroup. The norm's scale is a factor of the whole sum, so the squares are
// added up in the same sweep as the products.
// Needs the kernel's x and g, `p.eps`, `sum4`, and `four_dots`: the products with 8 elements of a block, 4s.. and
// 16 + 4s.. .

#import common/reduce
#import sum4

fn normed_dots(lane: u32, cols: u32) -> vec4<f32> {
    var sums = vec4<f32>();
    var squares = 0.0;
    for (var unit = lane; unit < cols / 8u; unit += WG) {
        let block = unit / 4u;
        let s = unit % 4u;
        let low = x[8u * block + s];
        let high = x[8u * block + 4u + s];
        squares += dot(low, low) + dot(high, high);
        sums += four_dots(block, s, low * g[8u * block + s], high * g[8u * block + 4u + s]);
    }
    let totals = reduce_sum4(lane, sums);
    return totals * inverseSqrt(reduce_sum(lane, squares) / f32(cols) + p.eps);
}
