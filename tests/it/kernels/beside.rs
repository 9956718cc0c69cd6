//! What decoding does beside an adapter: the copy of its factors in half floats, and each dispatch that reads it.

use super::fused::{SUMS, normed};
use super::harness::{Case, Devices, Expect, Slot, TestWeight, check_all, floats, wide};
use super::reference::{self, Heads};
use crate::common::Random;
use apprentice::kernels::{self, Factors, Gemv, Norm, OutputFactors};
use apprentice::quant::TensorType;
use apprentice::tensor::Tensor;
use half::f16;

const EPS: f32 = 1e-5;

/// Factors of an adapter in half floats, as `lora_pack` lays them out.
#[derive(Default)]
pub(super) struct Copy {
    halves: Vec<f16>,
    rank: usize,
}

impl Copy {
    pub fn new(rank: usize) -> Copy {
        // Something before the first factor, so that its start matters.
        Copy { halves: vec![f16::ONE; 8], rank }
    }

    fn number(random: &mut Random) -> f16 {
        f16::from_f32(0.5 * random.float())
    }

    /// An A `[rank, cols]`: where it starts, and its numbers.
    fn a(&mut self, cols: usize, random: &mut Random) -> (usize, Vec<f64>) {
        let at = self.halves.len() / 4;
        let a: Vec<f16> = (0..self.rank * cols).map(|_| Copy::number(random)).collect();
        self.halves.extend(&a);
        (at, a.iter().map(|x| x.to_f64()).collect())
    }

    /// A B `[rows, rank]`.
    pub fn b(&mut self, rows: usize, random: &mut Random) -> (usize, Vec<f64>) {
        let (at, rank) = (self.halves.len() / 4, self.rank);
        let b: Vec<f16> = (0..rows * rank).map(|_| Copy::number(random)).collect();
        for four in b.chunks((4 * rank).max(1)) {
            self.halves.extend((0..4 * rank).map(|i| four[i % 4 * rank + i / 4]));
        }
        (at, b.iter().map(|x| x.to_f64()).collect())
    }

    pub fn slot(&self) -> Slot {
        let words: Vec<u32> = bytemuck::pod_collect_to_vec(
            &self.halves.iter().map(|half| half.to_bits()).collect::<Vec<u16>>(),
        );
        Slot::words("halves", &words)
    }

    /// What outputs of `n` are multiplied with, in f32: where they start, and the numbers.
    pub fn outputs(&mut self, n: usize, random: &mut Random) -> (usize, Vec<f64>) {
        let at = self.halves.len() / 4;
        let mut factors = floats(random, n);
        factors.resize(n.next_multiple_of(2), 0.0);
        let bits = bytemuck::cast_slice::<f32, u16>(&factors);
        self.halves.extend(bits.iter().map(|bits| f16::from_bits(*bits)));
        (at, wide(&factors[..n]))
    }

    fn factors(rank: usize, at: [usize; 3], halves: &Tensor) -> Option<Factors<'_>> {
        (rank > 0).then_some(Factors { halves: &halves.view, rank, at, outputs: None })
    }
}

pub(super) fn multiply(y: &mut [f64], factors: &[f64]) {
    y.iter_mut().zip(factors).for_each(|(y, factor)| *y *= factor);
}

pub(super) fn add(to: &mut [f64], what: &[f64]) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += what);
}

/// A copy of a pair of rank `rank`, one of whose numbers is too large for a half float.
pub fn pack_case([rank, inputs, outputs]: [usize; 3]) -> Case {
    const SCALE: f32 = 0.75;
    let mut random = Random((rank * 100 + inputs) as u64);
    let (mut a, b) = (floats(&mut random, rank * inputs), floats(&mut random, outputs * rank));
    a[0] = 1e6;
    let wide = kernels::packed_rank(rank);
    let mut expected: Vec<f32> = a.iter().map(|a| a.min(65504.0)).collect();
    expected.resize(wide * inputs, 0.0);
    for four in b.chunks(4 * rank) {
        let at = |i: usize| if i / 4 < rank { SCALE * four[i % 4 * rank + i / 4] } else { 0.0 };
        expected.extend((0..4 * wide).map(at));
    }
    let check = move |words: &[u32]| {
        let halves = words.iter().flat_map(|word| [*word as u16, (*word >> 16) as u16]);
        let ours = halves.map(|bits| f16::from_bits(bits).to_f32());
        for (i, (ours, theirs)) in ours.zip(&expected).enumerate() {
            // A GPU may round to either neighbour.
            if (ours - theirs).abs() > theirs.abs() * 1e-3 + 6e-8 || !ours.is_finite() {
                return Err(format!("half {i} is {ours}, not {theirs}"));
            }
        }
        Ok(())
    };
    let words = wide * (inputs + outputs) / 2;
    let slots = vec![
        Slot::input("a", rank, inputs, &a),
        Slot::input("b", outputs, rank, &b),
        Slot::output("halves", 1, words, Expect::Checked(Box::new(check))),
    ];
    Case::new(format!("lora_pack {rank}, {inputs} to {outputs}"), slots, |rec, b| {
        kernels::lora_pack(rec, &b.t[0], &b.t[1], SCALE, &b.t[2].view)
    })
}

/// Products of a normed row with matrices of some rows, and with each one's A.
pub fn linears_case(ty: TensorType, rows: &[usize], cols: usize, rank: usize, gemv: Gemv) -> Case {
    let cols = cols.next_multiple_of(ty.block_len());
    let mut random = Random((rows.iter().sum::<usize>() + cols + rank) as u64);
    let (x, g, normed) = normed(&mut random, cols);
    let weights: Vec<TestWeight> =
        rows.iter().map(|n| TestWeight::random(ty, *n, cols, &mut random)).collect();
    let linear = |w: &TestWeight| reference::linear(&normed, &wide(&w.values), cols);
    let mut expected: Vec<f64> = weights.iter().flat_map(linear).collect();
    let mut copy = Copy::new(rank);
    let mut at = [0; 3];
    for at in &mut at[..rows.len()] {
        let (start, a) = copy.a(cols, &mut random);
        *at = start;
        expected.extend(reference::linear(&normed, &a, cols));
    }
    let slots = vec![
        Slot::input("x", 1, cols, &x),
        Slot::input("g", 1, cols, &g),
        copy.slot(),
        Slot::output("y", 1, expected.len(), Expect::Floats(expected)),
    ];
    let sums = gemv.name();
    let name = format!("norm_linears {sums} {} {rows:?} x {cols} rank {rank}", ty.name());
    let case = Case::new(name, slots, move |rec, b| {
        let (w, a) = (b.w.iter().collect::<Vec<_>>(), Copy::factors(rank, at, &b.t[2]));
        let norm = Norm { gain: &b.t[1].view, eps: EPS };
        kernels::norm_linears(rec, &w, &b.t[0], norm, gemv, a, &b.t[3].view)
    });
    // The norm makes numbers of size 1 out of numbers that are smaller on average.
    weights.into_iter().fold(case, Case::weight).tolerance(6e-6 * (cols as f64).sqrt(), 1e-5)
}

/// A product of a row behind which there are shares of u.
pub fn matvec_case([n, k, rank, shares]: [usize; 4], accumulate: bool, multiplied: bool) -> Case {
    let mut random = Random((n + k + rank) as u64);
    let w = TestWeight::random(TensorType::Q4_1, n, k, &mut random);
    let (x, y) = (floats(&mut random, k + shares * rank), floats(&mut random, n));
    let mut copy = Copy::new(rank);
    let (at, b) = copy.b(n, &mut random);
    let mut u = vec![0.0; rank];
    x[k..].chunks(rank).for_each(|share| add(&mut u, &wide(share)));
    let mut expected = reference::linear(&wide(&x[..k]), &wide(&w.values), k);
    add(&mut expected, &reference::linear(&u, &b, rank));
    let mut outputs = None;
    if multiplied {
        let (at, factors) = copy.outputs(n, &mut random);
        multiply(&mut expected, &factors);
        outputs = Some(OutputFactors { at: [at, 0, 0], biased: false });
    }
    if accumulate {
        add(&mut expected, &wide(&y));
    }
    let slots = vec![
        Slot::input("x", 1, k + shares * rank, &x),
        copy.slot(),
        Slot::inout("y", 1, n, &y, Expect::Floats(expected)),
    ];
    let name = format!("matvec {n} x {k} beside rank {rank}, {shares} shares, {multiplied}");
    Case::new(name, slots, move |rec, b| {
        let x = b.t[0].reshape(1, k);
        let factors = Copy::factors(rank, [at, 0, 0], &b.t[1]);
        let factors = factors.map(|b| (Factors { outputs, ..b }, shares));
        kernels::matvec(rec, &b.w[0], &x, &b.t[2], accumulate, Gemv::PLAIN, factors)
    })
    .weight(w)
    .tolerance(4e-6 * (k as f64).sqrt(), 1e-5)
}

/// SwiGLU of `n` columns, and the shares of the next u.
pub fn swiglu_case(n: usize, rank: usize, multiplied: bool) -> Case {
    let mut random = Random((n + rank) as u64);
    let y = floats(&mut random, 2 * (n + rank));
    let mut copy = Copy::new(rank);
    let [(gate_at, gate_b), (up_at, up_b)] = [0; 2].map(|_| copy.b(n, &mut random));
    let (a_at, a) = copy.a(n, &mut random);
    let factors = [0; 2].map(|_| copy.outputs(n, &mut random));
    let at = [factors[0].0, factors[1].0, 0];
    let outputs = multiplied.then_some(OutputFactors { at, biased: false });
    let wide = wide(&y);
    let added = |at: usize, b: &[f64]| {
        let mut y = wide[at * n..][..n].to_vec();
        add(&mut y, &reference::linear(&wide[2 * n + at * rank..][..rank], b, rank));
        if multiplied {
            multiply(&mut y, &factors[at].1);
        }
        y
    };
    let mut expected = reference::swiglu(&added(0, &gate_b), &added(1, &up_b));
    let shares = kernels::swiglu_shares(n);
    let chunk = if shares == n.div_ceil(64) { 64 } else { 256 };
    for first in (0..n).step_by(chunk) {
        let columns = first..n.min(first + chunk);
        let share = |a: &[f64]| {
            reference::linear(&expected[columns.clone()], &a[columns.clone()], columns.len())
        };
        let share: Vec<f64> = a.chunks(n).flat_map(share).collect();
        expected.extend(share);
    }
    let slots = vec![
        Slot::input("y", 1, y.len(), &y),
        copy.slot(),
        Slot::output("h", 1, expected.len(), Expect::Floats(expected)),
    ];
    Case::new(format!("lora_swiglu {n} rank {rank} {multiplied}"), slots, move |rec, b| {
        let at = [gate_at, up_at, a_at];
        let factors = Copy::factors(rank, at, &b.t[1]).expect("a rank");
        let factors = Factors { outputs, ..factors };
        kernels::lora_swiglu(rec, &b.t[0].view, n, factors, &b.t[2].view)
    })
}

/// Attention of one row over `keys` keys, and each head's share of u.
pub fn attention_case(s: Heads, keys: usize, rank: usize) -> Case {
    let mut random = Random((keys * 10 + s.hd + rank) as u64);
    let (q_cols, k_cols) = (s.heads * s.hd, s.kv_heads * s.hd);
    let q = floats(&mut random, q_cols);
    let [k, v] = [0; 2].map(|_| floats(&mut random, keys * k_cols));
    let spans = [0, keys as u32, 0, 0];
    let mut copy = Copy::new(rank);
    let (at, a) = copy.a(q_cols, &mut random);
    let (o, _) = reference::attention(&wide(&q), &wide(&k), &wide(&v), &spans, s);
    let mut expected = o.clone();
    for (head, o) in o.chunks(s.hd).enumerate() {
        let part = |a: &[f64]| reference::linear(o, &a[head * s.hd..][..s.hd], s.hd);
        expected.extend(a.chunks(q_cols).flat_map(part));
    }
    let slots = vec![
        Slot::input("q", 1, q_cols, &q),
        Slot::input("k", keys, k_cols, &k),
        Slot::input("v", keys, k_cols, &v),
        Slot::words("spans", &spans),
        copy.slot(),
        Slot::output("o", 1, expected.len(), Expect::Floats(expected)),
        Slot::output("stats", 1, 2 * s.heads, Expect::Twin),
    ];
    let shape = kernels::AttentionShape { heads: s.heads, kv_heads: s.kv_heads, head_dim: s.hd };
    Case::new(format!("attention {shape:?} {keys} beside rank {rank}"), slots, move |rec, b| {
        let [q, k, v, spans, halves, o, stats] = &b.t[..] else { panic!("as above") };
        let a = Copy::factors(rank, [at, 0, 0], halves);
        let o = o.reshape(1, q_cols);
        kernels::attention(rec, q, k, v, &spans.view, a, &o, stats, shape)
    })
}

#[test]
fn the_copy_in_half_floats_agrees() {
    let sizes = [[1, 32, 4], [7, 36, 12], [16, 576, 192], [200, 64, 64]];
    check_all(&Devices::open(), sizes.map(pack_case).into());
}

#[test]
fn products_beside_an_adapter_agree() {
    let mut cases = Vec::new();
    for gemv in SUMS {
        for ty in TensorType::ALL {
            cases.push(linears_case(ty, &[1, 1, 1], 32, 0, gemv));
            cases.push(linears_case(ty, &[5, 3, 3], 96, 4, gemv));
            cases.push(linears_case(ty, &[576, 192, 192], 576, 16, gemv));
        }
        cases.push(linears_case(TensorType::Q4_1, &[4, 4, 4], 512, 0, gemv));
        cases.push(linears_case(TensorType::Q4_1, &[33, 8, 8], 2080, 12, gemv));
        cases.push(linears_case(TensorType::Q4_1, &[1536, 1536], 576, 16, gemv));
        cases.push(linears_case(TensorType::Q8_0, &[7], 64, 8, gemv));
    }
    for dims in [[4, 32, 4, 1], [12, 96, 8, 3], [576, 1536, 16, 24], [64, 2080, 256, 2]] {
        for accumulate in [false, true] {
            cases.push(matvec_case(dims, accumulate, false));
            cases.push(matvec_case(dims, accumulate, true));
        }
    }
    check_all(&Devices::open(), cases);
}

#[test]
fn what_is_between_the_products_agrees() {
    let mut cases = Vec::new();
    for (n, rank) in [(32, 4), (64, 16), (96, 8), (1536, 16), (4128, 12), (160, 256)] {
        cases.push(swiglu_case(n, rank, false));
        cases.push(swiglu_case(n, rank, true));
    }
    let smol = Heads { heads: 9, kv_heads: 3, hd: 64 };
    for (heads, keys, rank) in [
        (smol, 1, 16),
        (smol, 150, 16),
        (Heads { heads: 2, kv_heads: 1, hd: 4 }, 7, 4),
        (Heads { heads: 3, kv_heads: 1, hd: 128 }, 70, 24),
        (Heads { heads: 2, kv_heads: 2, hd: 68 }, 70, 256),
    ] {
        cases.push(attention_case(heads, keys, rank));
    }
    check_all(&Devices::open(), cases);
}
