//! Planted faults in the files that kernels are linked with: types of weights, ways of adding up, lanes and quads.
//!
//! As in `controls`, each is one edit of a live file, and must fail by its numbers.

use super::controls::{INT8, SUBGROUPS, cases, planted_shared};
use super::harness::{Case, Devices, Fault, check_kernel, check_planted};
use super::{gemv, products, tiles};
use apprentice::device::KernelDef;
use apprentice::kernels::Gemv;
use apprentice::quant::TensorType;

/// Says whether `case`, which the kernel passes as it is, fails with the fault in the file that it imports.
fn is_caught(
    devices: &Devices,
    case: &Case,
    name: &'static str,
    import: [&str; 2],
    [from, to]: [&str; 2],
) -> bool {
    check_kernel(devices, case).unwrap_or_else(|fault| panic!("{}: {fault}", case.name));
    let bad = planted_shared(name, import, from, to);
    let plant = |kernel: &'static KernelDef| (kernel.name == name).then_some(bad);
    match check_planted(devices, case, &plant) {
        Ok(()) => false,
        Err(Fault::Wrong(_)) => true,
        Err(Fault::Device(error)) => panic!("{}: {error}", bad.name),
    }
}

/// Type, text of its shared file, and the fault that takes its place.
const WEIGHT_FAULTS: &[(TensorType, &str, &str, &str)] = &[
    (TensorType::BF16, "weight_bf16", "two.x << 16u", "two.x << 15u"),
    (TensorType::Q5_0, "weight_q5_0", "fifth >> 16u", "fifth >> 15u"),
    (TensorType::Q5_0, "weight_q5_0", "scales_at / 5u * 4u", "scales_at / 6u * 4u"),
    (TensorType::Q5_1, "weight_q5_1", "0x00204081u", "0x00204080u"),
    (TensorType::Q4K, "weight_q4_k", "(minimum >> 2u) & 48u", "(minimum >> 2u) & 16u"),
    (TensorType::Q4K, "weight_q4_k", "(b & 4u) != 0u", "(b & 2u) != 0u"),
    (TensorType::Q5K, "weight_q5_k", ">> (4u * s)", ">> s"),
    (TensorType::Q6K, "weight_q6_k", "(4u * (s / 2u))", "(4u * (s & 1u))"),
    (TensorType::Q6K, "weight_q6_k", "blocks / 2u + group / 2u", "blocks / 2u"),
];

#[test]
fn planted_faults_in_weights_are_caught() {
    let devices = Devices::open();
    let mut missed = Vec::new();
    for (ty, stem, from, to) in WEIGHT_FAULTS {
        let case = products::linear_case(*ty, [2, 5, 1024], false);
        if !is_caught(&devices, &case, "matmul_registers", ["weight", stem], [from, to]) {
            missed.push((stem, to));
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:#?}");
}

/// Import and shared file of a product in registers, and the fault that takes its place: of the one that shares a tile's
/// columns among lanes, or of the one that does not, with quads.
const REGISTER_FAULTS: &[([&str; 2], &str, &str)] = &[
    (["lanes", "lanes_16"], "l < LANES", "l + 1u < LANES"),
    (["lanes", "lanes_16"], "8u * tile + col", "8u * tile"),
    (["lanes", "lanes_1"], "n + 7u, sums[1].w", "n + 7u, sums[1].z"),
    (["four", "four_quads"], "quadBroadcast(one, 3u)", "quadBroadcast(one, 2u)"),
    (["four", "four_quads"], "% 4u", "% 2u"),
];

#[test]
fn planted_faults_in_registers_are_caught() {
    let devices = Devices::open();
    let mut missed = Vec::new();
    for (import, from, to) in REGISTER_FAULTS {
        // More units of columns than lanes share.
        let case = products::linear_case(TensorType::Q4_1, [9, 65, 160], false);
        let shared = import[1] == "lanes_16";
        let case = if shared { case } else { tiles::in_registers(case, true) };
        if !is_caught(&devices, &case, "matmul_registers", *import, [from, to]) {
            missed.push((import, to));
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:#?}");
}

/// Way, type, import and shared file of a one-row product, and the fault that takes its place.
const GEMV_FAULTS: &[(Gemv, TensorType, [&str; 2], &str, &str)] = &[
    (
        SUBGROUPS,
        TensorType::Q4_1,
        ["sum4", "reduce4_subgroups"],
        "var i = rank",
        "var i = rank + 1u",
    ),
    (SUBGROUPS, TensorType::Q4_1, ["sum4", "reduce4_subgroups"], "i < WG", "i < WG / 2u"),
    (
        SUBGROUPS,
        TensorType::Q4_1,
        ["sum4", "reduce4_subgroups"],
        "return subgroupAdd(sum)",
        "return sum",
    ),
    (INT8, TensorType::Q4_1, ["dot", "dot_int8"], "x.low_sum, high", "x.high_sum, high"),
    (INT8, TensorType::Q8_0, ["dot", "dot_int8"], "round(high * inverse)", "high * inverse * 0.99"),
    (INT8, TensorType::Q4_0, ["weight", "weight_q4_0"], "-8.0 * d", "-7.0 * d"),
    (INT8, TensorType::Q8_0, ["weight", "weight_q8_0"], "8u * b + 4u + s", "8u * b + s"),
    (INT8, TensorType::Q6K, ["weight", "weight_q6_k"], ".xxyy", ".xxxx"),
    (INT8, TensorType::Q4K, ["weight", "weight_q4_k"], "(step.x, -step.y)", "(step.x, step.y)"),
    (INT8, TensorType::Q5_0, ["weight", "weight_q5_0"], "-16.0 * d", "-15.0 * d"),
    (INT8, TensorType::Q5K, ["weight", "weight_q5_k"], "-step.y).xyxy", "-step.x).xyxy"),
    (INT8, TensorType::Q5_1, ["weight", "weight_q5_1"], ".xyxy", ".xxxx"),
];

#[test]
fn planted_faults_in_ways_of_one_row_are_caught() {
    let devices = Devices::open();
    let mut missed = Vec::new();
    for (way, ty, import, from, to) in GEMV_FAULTS {
        let case = gemv::case(*ty, [7, 544], *way, false);
        if !is_caught(&devices, &case, "matvec", *import, [from, to]) {
            missed.push((import, to));
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:#?}");
}

/// Kernel, shared file that it imports, text of that, and the fault that takes its place.
const SHARED_FAULTS: &[(&str, &str, &str, &str)] = &[
    ("norm_linears", "normed", "/ f32(cols)", ""),
    ("norm_swiglu", "normed", "+ p.eps", "+ 0.1"),
    ("lora_swiglu", "lora_shares", "j * stride", "j"),
    ("attention", "lora_shares", "c < n / 4u", "c + 1u < n / 4u"),
];

#[test]
fn planted_faults_in_shared_files_are_caught() {
    let devices = Devices::open();
    let cases = cases();
    for (name, stem, from, to) in SHARED_FAULTS {
        let bad = planted_shared(name, [&format!("common/{stem}"), stem], from, to);
        let plant = |kernel: &'static KernelDef| (kernel.name == *name).then_some(bad);
        let verdicts = cases.iter().map(|case| check_planted(&devices, case, &plant));
        let caught = verdicts.filter(|verdict| matches!(verdict, Err(Fault::Wrong(_)))).count();
        assert!(caught > 0, "not caught: {} in {name}", bad.name);
    }
}
