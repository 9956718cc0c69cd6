// A workgroup's share of u = A x: the products of A's rows with the columns of x that the workgroup has in `sh_x`.
// The sum over workgroups is the reader's. Four lanes a row of A. All lanes must call.
// Needs the kernel's `sh_x`, `p.rank` (rows of A, a multiple of 4), and `store_share`.

#import common/lora

var<workgroup> sh_shares: array<f32, WG>;

// `a_at`: the four of A's first row with the first of the columns; `stride`: fours of a row; `n`: columns, a multiple of 4.
fn lora_shares(lane: u32, a_at: u32, stride: u32, n: u32) {
    workgroupBarrier();
    let part = lane % 4u;
    for (var j0 = 0u; j0 < p.rank; j0 += WG / 4u) {
        let j = j0 + lane / 4u;
        var sum = 0.0;
        if j < p.rank {
            for (var c = part; c < n / 4u; c += 4u) {
                let four = vec4<f32>(sh_x[4u * c], sh_x[4u * c + 1u], sh_x[4u * c + 2u], sh_x[4u * c + 3u]);
                sum += dot(lora_four(a_at + j * stride + c), four);
            }
        }
        sh_shares[lane] = sum;
        workgroupBarrier();
        if part == 0u && j < p.rank {
            let pairs = vec2<f32>(sum + sh_shares[lane + 1u], sh_shares[lane + 2u] + sh_shares[lane + 3u]);
            store_share(j, pairs.x + pairs.y);
        }
        workgroupBarrier();
    }
}
