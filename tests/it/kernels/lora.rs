//! The products of LoRA adapters, for ranks around the chunk of 16 and sizes around the tiles of 4 rows and 64 columns.
//! Each is checked alone; `gradients` checks that together they are a layer's derivative.

use super::harness::{Case, Devices, Expect, Slot, check_all, floats, wide};
use super::reference::{linear, product, transpose};
use crate::common::Random;
use apprentice::kernels;

/// Rows, the layer's columns, rank.
type Dims = [usize; 3];

fn added(to: &[f32], scale: f64, what: &[f64]) -> Expect {
    Expect::Floats(wide(to).iter().zip(what).map(|(to, what)| to + scale * what).collect())
}

fn a_case([rows, cols, rank]: Dims, random: &mut Random) -> Case {
    let (x, a) = (floats(random, rows * cols), floats(random, rank * cols));
    let expected = linear(&wide(&x), &wide(&a), cols);
    let slots = vec![
        Slot::input("x", rows, cols, &x),
        Slot::input("a", rank, cols, &a),
        Slot::output("u", rows, rank, Expect::Floats(expected)),
    ];
    Case::new("lora_a".into(), slots, |rec, b| kernels::lora_a(rec, &b.t[0], &b.t[1], &b.t[2]))
}

fn b_case([rows, cols, rank]: Dims, random: &mut Random) -> Case {
    let (u, b) = (floats(random, rows * rank), floats(random, cols * rank));
    let y = floats(random, rows * cols);
    let products = linear(&wide(&u), &wide(&b), rank);
    let slots = vec![
        Slot::input("u", rows, rank, &u),
        Slot::input("b", cols, rank, &b),
        Slot::inout("y", rows, cols, &y, added(&y, 0.75, &products)),
    ];
    Case::new("lora_b".into(), slots, |rec, b| {
        kernels::lora_b(rec, &b.t[0], &b.t[1], 0.75, &b.t[2])
    })
}

fn du_case([rows, cols, rank]: Dims, random: &mut Random) -> Case {
    let (dy, b) = (floats(random, rows * cols), floats(random, cols * rank));
    let expected = product(&wide(&dy), &wide(&b), cols).iter().map(|x| 0.75 * x).collect();
    let slots = vec![
        Slot::input("dy", rows, cols, &dy),
        Slot::input("b", cols, rank, &b),
        Slot::output("du", rows, rank, Expect::Floats(expected)),
    ];
    Case::new("lora_du".into(), slots, |rec, b| {
        kernels::lora_du(rec, &b.t[0], &b.t[1], 0.75, &b.t[2])
    })
}

fn dx_case([rows, cols, rank]: Dims, random: &mut Random) -> Case {
    let (du, a) = (floats(random, rows * rank), floats(random, rank * cols));
    let dx = floats(random, rows * cols);
    let products = product(&wide(&du), &wide(&a), rank);
    let slots = vec![
        Slot::input("du", rows, rank, &du),
        Slot::input("a", rank, cols, &a),
        Slot::inout("dx", rows, cols, &dx, added(&dx, 1.0, &products)),
    ];
    Case::new("lora_dx".into(), slots, |rec, b| kernels::lora_dx(rec, &b.t[0], &b.t[1], &b.t[2]))
}

fn grad_case([rows, cols, rank]: Dims, transposed: bool, random: &mut Random) -> Case {
    let (p, x) = (floats(random, rows * rank), floats(random, rows * cols));
    let grad = floats(random, rank * cols);
    let mut products = product(&transpose(&wide(&p), rank), &wide(&x), rows);
    if transposed {
        products = transpose(&products, cols);
    }
    let (grad_rows, grad_cols) = if transposed { (cols, rank) } else { (rank, cols) };
    let slots = vec![
        Slot::input("p", rows, rank, &p),
        Slot::input("x", rows, cols, &x),
        Slot::inout("grad", grad_rows, grad_cols, &grad, added(&grad, 0.5, &products)),
    ];
    Case::new(format!("lora_grad {transposed}"), slots, move |rec, b| {
        kernels::lora_grad(rec, &b.t[0], &b.t[1], 0.5, &b.t[2], transposed)
    })
}

/// All products of a LoRA layer, for one size.
pub fn cases(dims: Dims) -> Vec<Case> {
    let mut random = Random(dims.iter().product::<usize>() as u64);
    let mut cases = vec![
        a_case(dims, &mut random),
        b_case(dims, &mut random),
        du_case(dims, &mut random),
        dx_case(dims, &mut random),
        grad_case(dims, false, &mut random),
        grad_case(dims, true, &mut random),
    ];
    cases.iter_mut().for_each(|case| case.name += &format!(" {dims:?}"));
    cases
}

#[test]
fn adapters_agree() {
    let mut cases = Vec::new();
    for dims in [
        [1, 1, 1],
        [1, 576, 16],
        [3, 63, 7],
        [4, 64, 15],
        [5, 65, 17],
        [33, 192, 16],
        [65, 40, 32],
        [2, 130, 256],
    ] {
        cases.extend(self::cases(dims));
    }
    check_all(&Devices::open(), cases);
}
