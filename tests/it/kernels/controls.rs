//! The checker's own test: what it must reject, and a planted fault for each family of kernels.
//!
//! A planted kernel is the live shader with one edit, so it cannot go stale; it must fail by its numbers, since a
//! shader that does not compile proves nothing. Faults are deterministic: wrong sums, bounds, signs and rows.

use super::harness::{Case, Devices, Fault, check_kernel, check_planted, check_rerun, compare};
use super::reference::Heads;
use super::{
    attention, beside, columns, flat, fused, gemv, guards, lora, losses, products, rope, rows,
    sampling, stored, tiles,
};
use crate::gradients;
use apprentice::device::{KernelDef, shader};
use apprentice::kernels::{ALL, Gemv, Nucleus, RopeHeads, RopeShape};
use apprentice::quant::TensorType;
use apprentice::tensor::TileType;

pub(super) const SUBGROUPS: Gemv = Gemv { subgroups: true, int8: false };
pub(super) const INT8: Gemv = Gemv { subgroups: false, int8: true };

#[test]
fn the_comparator_rejects_what_it_should() {
    let good: Vec<f64> = (0..200).map(|i| f64::from(i).sin()).collect();
    let with = |i: usize, x: f64| {
        let mut bad = good.clone();
        bad[i] = x;
        bad
    };
    let passes = |bad: &[f64]| compare(bad, &good, 1e-3, 1e-3).is_ok();
    assert!(passes(&good));
    assert!(passes(&with(7, good[7] + 0.9e-3)), "within the tolerance");
    assert!(
        !passes(&with(7, good[7] + 2.0 * (1e-3 + 1e-3 * good[7].abs()))),
        "twice the tolerance"
    );
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(!passes(&with(199, bad)), "{bad}");
    }
    let swapped = [&good[100..], &good[..100]].concat();
    assert!(!passes(&swapped), "swapped halves");
    let biased: Vec<f64> = good.iter().map(|x| x + 0.8e-3).collect();
    assert!(!passes(&biased), "each within the tolerance, all on one side");
    assert!(compare(&[f64::INFINITY], &[f64::INFINITY], 1.0, 1.0).is_err(), "infinite");
}

fn find(name: &str) -> &'static KernelDef {
    ALL.iter().find(|kernel| kernel.name == name).expect("a kernel")
}

/// A kernel with one edit of its shader.
fn planted(name: &'static str, from: &str, to: &str) -> &'static KernelDef {
    let kernel = find(name);
    assert!(kernel.wgsl.contains(from), "{name}: the text to edit is gone");
    with_shader(kernel, format!("{name} with `{to}`"), kernel.wgsl.replacen(from, to, 1))
}

/// A shared file, and in it what it imports.
fn shared(stem: &str) -> String {
    let (_, file) = shader::COMMON.iter().find(|(known, _)| *known == stem).expect("a shared file");
    let line = |line: &str| match line.strip_prefix("#import common/") {
        Some(imported) => shared(imported),
        None => format!("{line}\n"),
    };
    file.lines().map(line).collect()
}

/// A kernel with one edit of the shared file `stem` that it imports as `import`.
pub(super) fn planted_shared(
    name: &str,
    [import, stem]: [&str; 2],
    from: &str,
    to: &str,
) -> &'static KernelDef {
    let file = shared(stem);
    assert!(file.contains(from), "{stem}: the text to edit is gone");
    let kernel = find(name);
    let import_line = format!("#import {import}\n");
    let wgsl = kernel.wgsl.replacen(&import_line, &file.replacen(from, to, 1), 1);
    assert_ne!(wgsl, kernel.wgsl, "{name} imports no {import}");
    with_shader(kernel, format!("{stem} with `{to}`"), wgsl)
}

fn with_shader(kernel: &'static KernelDef, name: String, wgsl: String) -> &'static KernelDef {
    Box::leak(Box::new(KernelDef {
        name: Box::leak(name.into_boxed_str()),
        wgsl: Box::leak(wgsl.into_boxed_str()),
        bindings: kernel.bindings,
        params_bytes: kernel.params_bytes,
        overrides: kernel.overrides,
        links: kernel.links,
        cpu: kernel.cpu,
    }))
}

pub(super) fn cases() -> Vec<Case> {
    let ty = TensorType::Q4_1;
    let turned = RopeShape { rows: 3, heads: 2, head_dim: 8, interleaved: false, inverse: true };
    let stored = RopeHeads { heads: 4, kv_heads: 2, head_dim: 8, interleaved: true };
    let family = |multiplied| stored::Family { biases: true, norms: true, rank: 8, multiplied };
    let heads = Heads { heads: 4, kv_heads: 2, hd: 8 };
    let logits = [[1.0f32, 2.0, 2.0, 0.5]; 160].concat();
    let grouped = Heads { heads: 2, kv_heads: 1, hd: 4 };
    let mut cases = vec![
        rows::add_case(257),
        rows::swiglu_case(257),
        rows::bias_case(257),
        rows::norm_case(3, 257),
        rope::rope_case(turned),
        rope::rope_store_case(5, stored),
        rows::scatter_case(5, 12),
        products::embed_case(ty, 70, 64),
        beside::pack_case([6, 36, 12]),
        beside::linears_case(ty, &[9, 6, 6], 96, 8, Gemv::PLAIN),
        beside::matvec_case([12, 96, 20, 3], true, true),
        beside::swiglu_case(96, 8, true),
        beside::attention_case(heads, 70, 24),
        stored::store_case(stored, family(Some(false))),
        stored::store_case(stored, family(Some(true))),
        fused::feed_case(ty, 9, 96, Gemv::PLAIN),
        products::linear_case(ty, [1, 65, 96], false),
        products::linear_case(ty, [65, 65, 96], false),
        tiles::forward(ty, [65, 65, 96], false, TileType::F16),
        tiles::backward(ty, [17, 65, 96], true, TileType::F16),
        products::linear_case(ty, [9, 65, 96], true),
        tiles::in_registers(products::linear_case(ty, [9, 65, 96], true), false),
        tiles::in_registers(products::linear_case(ty, [9, 65, 96], true), true),
        tiles::in_registers(products::dx_case(ty, [9, 65, 96], true), false),
        tiles::in_registers(products::dx_case(ty, [9, 65, 96], true), true),
        gemv::case(ty, [65, 96], SUBGROUPS, true),
        gemv::case(ty, [65, 96], INT8, true),
        attention::attention_case("causal", heads, 70, &attention::causal(7, 70)),
        attention::attention_case("branch", heads, 6, &[0, 5, 2, 4]),
        losses::cross_entropy_case(3, 257),
        losses::kl_case(3, 257),
        flat::dot_case(5000),
        flat::sum_case(257),
        flat::adamw_case(257, 1.0, None),
        flat::adamw_case(2000, 1.0, Some(flat::FASTER)),
        guards::squares_case(7, 257),
        guards::anchor_case(257),
        guards::surgery_case(257, -3.0, 2.0),
        guards::surgery_case(257, 3.0, 2.0),
        guards::gram_case([4, 65], true),
        guards::function_case([4, 65], true),
        sampling::argmax_case(2, 320, &logits),
        sampling::top_k_case(2, 320, 5, &logits),
        sampling::draw_case(40, Nucleus { temperature: 1.0, top_p: 0.9, u: 0.8 })
            .expect("no border"),
        sampling::penalize_case(20, 90),
        products::dx_case(ty, [17, 65, 96], true),
        gradients::norm_case(3, 31),
        gradients::swiglu_case(257),
        gradients::attention_case("causal", grouped, 6, &attention::causal(6, 6), true),
        gradients::attention_case("sharing an opening", grouped, 7, &gradients::SHARED, true),
        columns::scale_case(5, 65),
        columns::dots_case(9, 130),
        columns::squares_case(ty, 5, 96),
        columns::norms_case(300, 96, 8),
    ];
    cases.extend(lora::cases([5, 65, 17]));
    cases
}

/// Kernel, text, and the fault that takes its place.
const FAULTS: &[(&str, &str, &str)] = &[
    ("add", "i < p.n", "i < p.n - 1u"),
    ("add", "i < p.n", "i <= p.n"),
    ("add", "y[i] =", "y[i ^ 1u] ="),
    ("add_bias", "b[i % p.cols]", "b[0]"),
    ("swiglu", "min(-a[i], 80.0)", "min(-a[i], 2.0)"),
    ("rms_norm", "/ f32(p.cols)", "/ f32(p.cols - 1u)"),
    ("rms_norm", "+ p.eps", ""),
    ("rope", "* p.sign", ""),
    ("rope", "head / p.heads", "0u"),
    ("rope_store", "place.y * p.kv_heads", "t * p.kv_heads"),
    ("rope_store", "- b * turn.y", "+ b * turn.y"),
    ("rope_store", "(head - p.heads) % p.kv_heads", "0u"),
    ("embed", "tokens[t] - p.row", "tokens[t] - p.row + 1u"),
    ("matvec", "i < p.k / 8u", "i < p.k / 8u - 1u"),
    ("matvec", "row + lane < p.n", "row + lane < p.n - 1u"),
    ("matvec", "u += x[at / 4u][at % 4u]", "u = x[at / 4u][at % 4u]"),
    ("matvec", "j < p.rank; j += WG", "j + 1u < p.rank; j += WG"),
    ("norm_linears", "return w2[i]", "return w1[i]"),
    ("norm_linears", "row + lane < n", "row + lane + 1u < n"),
    ("norm_linears", "start += n", "start += n + 1u"),
    ("norm_linears", "p.a_at[matrix - 3u]", "p.a_at[0]"),
    ("lora_pack", "clamp(four, -most, most)", "four"),
    ("lora_pack", "j < p.rank", "true"),
    ("lora_pack", "p.scale * four", "four"),
    ("lora_swiglu", "2u * p.n + p.rank, p.up_at", "2u * p.n, p.up_at"),
    ("lora_swiglu", "min(WG, p.n - first)", "min(WG, p.n - first) - 4u"),
    ("store_qkv", "+ m * p.rank", ""),
    ("store_qkv", "p.outputs[m]", "p.outputs[0]"),
    ("store_qkv", "p.outputs.w == 2u", "p.outputs.w == 1u"),
    ("matvec", "p.outputs_at, row + lane", "p.outputs_at, row"),
    ("lora_swiglu", "p.up_at, p.outputs.y", "p.up_at, p.outputs.x"),
    ("store_qkv", "p.gain_at[m] + second", "p.gain_at[m] + first"),
    ("store_qkv", "extras[p.bias_at[m] + at]", "extras[p.bias_at[0] + at]"),
    ("store_qkv", "a * turn.y + b * turn.x);", "a * turn.y - b * turn.x);"),
    ("norm_swiglu", "reads_up = true", "reads_up = false"),
    ("norm_swiglu", "row + lane < p.n", "row + lane <= p.n"),
    ("matmul", "block < p.k / 32u", "block < p.k / 32u - 1u"),
    ("matmul", "t < p.rows && n < p.n", "t < p.rows && n + 1u < p.n"),
    ("matmul", "t * p.y_cols", "p.rows * p.y_cols"),
    ("matmul_registers", "i < p.k / 8u", "i < p.k / 8u - 1u"),
    ("matmul_registers", "t < p.rows && n < p.n", "t < p.rows && n + 1u < p.n"),
    ("matmul_registers", "sum5 += dots(t0 + 5u", "sum5 += dots(t0 + 4u"),
    ("matmul_registers", "high * unit.high1", "high * unit.high0"),
    ("attention", "key < span.y &&", "key + 1u < span.y &&"),
    ("attention", "total = total * shrink", "total = total"),
    ("attention", "key < span.z ||", "true ||"),
    ("attention", "+ at * p.rank;", "+ at;"),
    ("scatter_rows", "rows[row] *", "row *"),
    ("attention", "(p.heads / p.kv_heads)", "p.heads"),
    ("cross_entropy", "(probability - select(0.0, 1.0, i == label))", "probability"),
    ("cross_entropy", "let weight = select(0.0, weights[at], label < p.cols)", "let weight = 1.0"),
    ("kl_divergence", "(exp(p_score) - q)", "(q - exp(p_score))"),
    ("lora_b", "p.scale * value", "value"),
    ("lora_b", "j0 < p.rank", "j0 + 1u < p.rank"),
    ("dot", "i < p.n", "i + 1u < p.n"),
    ("adamw", "* p.correct1", ""),
    ("adamw", "place < two.w", "place <= two.w"),
    ("adamw", "+ p.weight_decay * w[i]", ""),
    ("square_sums", "value * value", "value"),
    ("square_sums", "sums[j] += p.scale", "sums[j] = p.scale"),
    ("anchor_pull", "w[i] - anchor[i]", "w[i]"),
    ("surgery", "product[0] / square[0]", "product[0]"),
    ("surgery", "product[0] < 0.0 &&", ""),
    ("weighted_gram", "index >= pairs", "false"),
    ("weighted_gram", "p.transposed != 0u", "false"),
    ("weighted_gram", "j < p.n; j += WG", "j + 1u < p.n; j += WG"),
    ("function_pull", "(p.rank + l) * p.rank + k", "l * p.rank + k"),
    ("function_pull", "p.scale * w[j]", "p.scale"),
    ("argmax", "value > best", "value >= best"),
    ("top_k", "sh_ids[j] < id", "sh_ids[j] > id"),
    ("top_k", "bitcast<u32>(peak + log(total))", "bitcast<u32>(peak)"),
    ("sum", "i < p.n", "i + 1u < p.n"),
    ("matmul", "Four(pair[1])", "Four(pair[0])"),
    ("matmul_dx", "Four(pair[1])", "Four(pair[0])"),
    ("matmul_dx", "n0 < p.n;", "n0 + 32u < p.n;"),
    (
        "matmul_dx",
        "acc1 += combine(sh_dy[slot(ty + 16u, n4)]",
        "acc1 += combine(sh_dy[slot(ty, n4)]",
    ),
    ("matmul_dx", "p.dy_cols + p.dy_col + n", "p.dy_cols + p.dy_col + n + 1u"),
    ("matmul_dx_registers", "n + j < p.n", "n + j + 1u < p.n"),
    ("matmul_dx_registers", "n < p.n; n += 4u", "n + 4u < p.n; n += 4u"),
    ("matmul_dx_registers", "unit / 4u * 8u + unit % 4u", "unit / 4u * 8u"),
    ("matmul_dx_registers", "a.w * rows.w3", "a.w * rows.w2"),
    ("rms_norm_dx", "dx[start + i] +=", "dx[start + i] ="),
    ("rms_norm_dx", "- x[start + i] * pull", ""),
    ("swiglu_grad", "(1.0 - sig)", "sig"),
    ("attention_dq", "(dp - d)", "dp"),
    ("attention_dq", "total * p.scale", "total"),
    ("attention_dq", " && (key < span.z || key >= span.w)", ""),
    ("attention_dkv", "head < head0 + share", "head < head0 + 1u"),
    ("attention_dkv", "(dp - stat.y)", "dp"),
    ("lora_a", "i < p.cols;", "i + 1u < p.cols;"),
    ("lora_du", "p.scale * sh_sums", "sh_sums"),
    ("lora_dx", "+= value", "= value"),
    ("lora_grad", "p.transposed != 0u", "false"),
    ("lora_grad", "finish(lane, j0 + 12u, i, sum3)", "finish(lane, j0 + 12u, i, sum2)"),
    ("draw", "kept >= p.top_p * total", "kept >= total"),
    ("draw", "p.u * kept", "p.u * total * 0.5"),
    ("penalize", "logit * p.penalty", "logit / p.penalty"),
    ("scale_columns", "c[i % p.cols]", "c[i / p.cols]"),
    ("column_dots", "+ sh_sums[lane + 192u]", ""),
    ("column_dots", "out[j] += sh_sums", "out[j] = sh_sums"),
    ("row_squares", "unit < 4u * blocks", "unit + 1u < 4u * blocks"),
    ("dora_norms", "2.0 * products", "products"),
    ("dora_norms", "p.scale * gram[at]", "gram[at]"),
    ("dora_norms", "square > 0.0", "true"),
];

#[test]
fn planted_faults_are_caught() {
    let devices = Devices::open();
    let cases = cases();
    for case in &cases {
        // The same kernels unedited pass, so it is the edit that is caught.
        check_kernel(&devices, case).unwrap_or_else(|fault| panic!("{}: {fault}", case.name));
    }
    let mut missed = Vec::new();
    for (name, from, to) in FAULTS {
        let bad = planted(name, from, to);
        let plant = |kernel: &'static KernelDef| (kernel.name == *name).then_some(bad);
        let verdicts: Vec<_> =
            cases.iter().map(|case| check_planted(&devices, case, &plant)).collect();
        if let Some(Err(Fault::Device(error))) =
            verdicts.iter().find(|verdict| matches!(verdict, Err(Fault::Device(_))))
        {
            panic!("{}: {error}", bad.name);
        }
        if !verdicts.iter().any(|verdict| matches!(verdict, Err(Fault::Wrong(_)))) {
            missed.push(bad.name);
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:#?}");
}

#[test]
fn every_kernel_has_a_planted_fault() {
    // Cooperative matrices: no adapter of these tests can run them, so no fault could be seen.
    for kernel in ALL.iter().filter(|kernel| !kernel.links.contains(&"matrices")) {
        assert!(FAULTS.iter().any(|(name, ..)| *name == kernel.name), "none for {}", kernel.name);
    }
}

#[test]
fn reruns_are_bit_identical() {
    let devices = Devices::open();
    for case in cases() {
        check_rerun(&devices, &case).unwrap_or_else(|fault| panic!("{}: {fault}", case.name));
    }
}
