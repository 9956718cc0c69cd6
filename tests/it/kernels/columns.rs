//! What DoRA and (IA)³ need beside LoRA's products: factors of columns, their gradient, and the norms of adapted rows.
//!
//! The norms are held against those of W + s B A itself, which no kernel makes. Sizes are around a workgroup's columns and rows.

use super::harness::{Case, Devices, Expect, Slot, TestWeight, check_all, floats, wide};
use super::reference;
use crate::common::{Random, whole_cols};
use apprentice::device::Recording;
use apprentice::kernels::{self, NormTerms};
use apprentice::quant::TensorType;

pub fn scale_case(rows: usize, cols: usize) -> Case {
    let mut random = Random((rows * cols) as u64);
    let (c, y) = (floats(&mut random, cols), floats(&mut random, rows * cols));
    let expected = wide(&y).iter().enumerate().map(|(i, y)| y * f64::from(c[i % cols])).collect();
    let slots = vec![
        Slot::input("c", 1, cols, &c),
        Slot::inout("y", rows, cols, &y, Expect::Floats(expected)),
    ];
    Case::new(format!("scale_columns {rows} x {cols}"), slots, |rec, b| {
        kernels::scale_columns(rec, &b.t[0].view, &b.t[1])
    })
}

pub fn dots_case(rows: usize, cols: usize) -> Case {
    let mut random = Random((rows * cols + 1) as u64);
    let [x, y] = [0; 2].map(|_| floats(&mut random, rows * cols));
    let out = floats(&mut random, cols);
    let mut expected = wide(&out);
    for (i, (x, y)) in wide(&x).iter().zip(wide(&y)).enumerate() {
        expected[i % cols] += x * y;
    }
    let slots = vec![
        Slot::input("x", rows, cols, &x),
        Slot::input("y", rows, cols, &y),
        Slot::inout("out", 1, cols, &out, Expect::Floats(expected)),
    ];
    Case::new(format!("column_dots {rows} x {cols}"), slots, |rec, b| {
        kernels::column_dots(rec, &b.t[0], &b.t[1], &b.t[2].view)
    })
}

/// Σ x², row by row.
fn squares(w: &[f64], cols: usize) -> Vec<f64> {
    w.chunks(cols).map(|row| row.iter().map(|w| w * w).sum()).collect()
}

pub fn squares_case(ty: TensorType, rows: usize, cols: usize) -> Case {
    let cols = whole_cols(ty, cols);
    let w = TestWeight::random(ty, rows, cols, &mut Random((rows + cols) as u64));
    let expected = squares(&wide(&w.values), cols);
    let slots = vec![Slot::output("squares", 1, rows, Expect::Floats(expected))];
    Case::new(format!("row_squares {} {rows} x {cols}", ty.name()), slots, |rec, b| {
        kernels::row_squares(rec, &b.w[0], &b.t[0].view)
    })
    .weight(w)
    .tolerance(1e-6 * cols as f64, 1e-5)
}

/// The norms of W + s B A as a model takes them, from W's packed blocks on. Row 0 is zero in both.
pub fn norms_case(outputs: usize, inputs: usize, rank: usize) -> Case {
    const SCALE: f32 = 0.75;
    let mut random = Random((outputs + inputs + rank) as u64);
    let mut numbers = floats(&mut random, outputs * inputs);
    numbers[..inputs].fill(0.0);
    let w = TestWeight::of(TensorType::F32, outputs, inputs, &numbers);
    let (a, mut b) = (floats(&mut random, rank * inputs), floats(&mut random, outputs * rank));
    b[..rank].fill(0.0);
    let m: Vec<f32> = floats(&mut random, outputs).iter().map(|m| m + 2.0).collect();
    let update = reference::product(&wide(&b), &wide(&a), rank);
    let mut adapted = wide(&w.values);
    adapted.iter_mut().zip(update).for_each(|(w, update)| *w += f64::from(SCALE) * update);
    let norms = squares(&adapted, inputs);
    let inverse = |square: &f64| if *square > 0.0 { 1.0 / square.sqrt() } else { 0.0 };
    let inverses: Vec<f64> = norms.iter().map(inverse).collect();
    let factors = inverses.iter().zip(&m).map(|(n, m)| n * f64::from(*m)).collect();
    let slots = vec![
        Slot::input("a", rank, inputs, &a),
        Slot::input("b", outputs, rank, &b),
        Slot::input("m", 1, outputs, &m),
        Slot::output("squares", 1, outputs, Expect::Twin),
        Slot::output("products", rank, outputs, Expect::Twin),
        Slot::output("a aᵀ", rank, rank, Expect::Twin),
        Slot::output("gram", outputs, rank, Expect::Twin),
        Slot::output("factors", 1, outputs, Expect::Floats(factors)),
        Slot::output("inverses", 1, outputs, Expect::Floats(inverses)),
    ];
    let record = |rec: &mut Recording, bound: &super::harness::Bound| {
        let [a, b, m, squares, products, square, gram, factors, inverses] = &bound.t[..] else {
            panic!("as above")
        };
        kernels::row_squares(rec, &bound.w[0], &squares.view)?;
        kernels::linear(rec, &bound.w[0], a, products, false)?;
        kernels::lora_a(rec, a, a, square)?;
        kernels::lora_a(rec, b, square, gram)?;
        let (squares, m) = (&squares.view, &m.view);
        let of = NormTerms { squares, products, gram, b, m, scale: SCALE };
        kernels::dora_norms(rec, of, &factors.view, &inverses.view)
    };
    let name = format!("dora_norms {outputs} x {inputs} rank {rank}");
    Case::new(name, slots, record).weight(w).tolerance(1e-5, 2e-5)
}

#[test]
fn factors_of_columns_and_their_gradients_agree() {
    let mut cases = Vec::new();
    for (rows, cols) in [(1, 1), (3, 63), (4, 64), (5, 65), (9, 130), (70, 576), (2, 1536)] {
        cases.push(scale_case(rows, cols));
        cases.push(dots_case(rows, cols));
    }
    check_all(&Devices::open(), cases);
}

#[test]
fn norms_of_adapted_rows_agree() {
    let mut cases = Vec::new();
    for ty in TensorType::ALL {
        cases.push(squares_case(ty, 5, 96));
        cases.push(squares_case(ty, 70, 576));
    }
    for (outputs, inputs, rank) in [(1, 32, 1), (3, 64, 3), (300, 96, 8), (64, 192, 16)] {
        cases.push(norms_case(outputs, inputs, rank));
    }
    check_all(&Devices::open(), cases);
}

/// A matrix in parts: each part's squares go to their own rows.
#[test]
fn norms_of_a_matrix_in_parts_agree() {
    let devices = Devices::clamped(4 << 10);
    check_all(&devices, vec![squares_case(TensorType::Q8_0, 70, 96)]);
}
