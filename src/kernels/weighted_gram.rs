//! Gram matrices of an adapter's half with itself and with its anchor, in a weighted inner product.
//!
//! They are the r × r middle of the function-space penalty's gradient (see `function_pull`), which never makes a matrix of
//! the linear's own size. It knows no penalty. Invariant: the order of a sum depends on n alone.

use super::launch::{Checks, groups, params};
use super::parallel::for_each_chunk_mut;
use crate::device::{Access, CpuCall, DeviceError, KernelDef, Recording, Shape, View};

params! {
    n: u32,
    rank: u32,
    transposed: u32,
    pad: u32,
}

/// The kernel of [`weighted_gram`].
pub static WEIGHTED_GRAM: KernelDef = KernelDef {
    name: "weighted_gram",
    wgsl: include_str!("../../shaders/weighted_gram.wgsl"),
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Write],
    params_bytes: size_of::<Params>(),
    overrides: &["WG"],
    links: &[],
    cpu,
};

/// Lanes of a workgroup: a sum has some hundred to some thousand terms.
const LANES: u32 = 64;

/// gram `[2, r, r]`: gram[0][l, k] = Σ_j w_j x_l[j] x_k[j], gram[1][l, k] = Σ_j w_j y_l[j] x_k[j]; w is `[n]`, x and y are
/// `[r, n]`, or `[n, r]` where `transposed`.
pub fn weighted_gram(
    rec: &mut Recording,
    [w, x, y]: [&View; 3],
    gram: &View,
    [rank, n]: [usize; 2],
    transposed: bool,
) -> Result<(), DeviceError> {
    Checks::new(&WEIGHTED_GRAM)
        .that(rank * n > 0, "an empty matrix")
        .words("w", w, n)
        .words("x", x, rank * n)
        .words("y", y, rank * n)
        .words("gram", gram, 2 * rank * rank)
        .done()?;
    let transposed = u32::from(transposed);
    let params = Params { n: n as u32, rank: rank as u32, transposed, pad: 0 };
    let shape = Shape {
        overrides: &[("WG", LANES)],
        groups: groups(2 * rank * rank),
        flops: 6 * (n * rank * rank) as u64,
        ..Shape::default()
    };
    rec.dispatch(&WEIGHTED_GRAM, &params, &[w, x, y, gram].map(View::clone), &shape)
}

fn cpu(call: &CpuCall<'_>) {
    let p: Params = call.params();
    let (n, rank, transposed) = (p.n as usize, p.rank as usize, p.transposed != 0);
    let [w, x, y] = [0, 1, 2].map(|i| call.input::<f32>(i));
    let at = |vector: usize, j: usize| if transposed { j * rank + vector } else { vector * n + j };
    let gram = &mut call.output::<f32>(3)[..2 * rank * rank];
    for_each_chunk_mut(gram, rank, |row, sums| {
        let (left, l) = if row < rank { (x, row) } else { (y, row - rank) };
        sums.fill(0.0);
        for j in 0..n {
            let factor = w[j] * left[at(l, j)];
            for (k, sum) in sums.iter_mut().enumerate() {
                *sum += factor * x[at(k, j)];
            }
        }
    });
}
