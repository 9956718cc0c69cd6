//! `apprentice bench` as a program, on the tiny model and on both devices: what its JSON has, and what it counts.
//!
//! No time is asserted: a speed must be a number above zero. Invariant: standard output is one JSON object.

use crate::tiny;
use apprentice::quant::TensorType;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn run(args: &[&str]) -> Output {
    let program = Command::new(env!("CARGO_BIN_EXE_apprentice")).arg("bench").args(args).output();
    program.expect("the program starts")
}

fn measured(args: &[&str]) -> Value {
    let output = run(args);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "bench {args:?}: {told}");
    serde_json::from_slice(&output.stdout).expect("one JSON object on standard output")
}

fn tiny_model(folder: &Path) -> String {
    let path = folder.join("tiny.gguf");
    std::fs::write(&path, tiny::file(TensorType::Q4_1, 1)).unwrap();
    path.display().to_string()
}

/// The sizes of a part's rows, each of which has a speed.
fn sizes(result: &Value, part: &str, key: &str) -> Vec<u64> {
    let rows = result[part].as_array().unwrap_or_else(|| panic!("no {part}"));
    let size = |row: &Value| {
        let speed = row["tokens_per_s"].as_f64().expect("a speed");
        assert!(speed.is_finite() && speed > 0.0, "{part}: {row}");
        row[key].as_u64().expect("a size")
    };
    rows.iter().map(size).collect()
}

fn kernel_cases(result: &Value) -> &Vec<Value> {
    let kernels = &result["kernels"];
    for limit in ["copy_gb_per_s", "peak_gflop_per_s"] {
        assert!(kernels[limit].as_f64().expect("a limit") > 0.0, "{limit}");
    }
    let cases = kernels["cases"].as_array().expect("cases");
    for case in cases {
        for key in ["ms", "bytes", "gb_per_s", "share_of_copy"] {
            assert!(case[key].as_f64().expect("a number") > 0.0, "{key} of {case}");
        }
    }
    cases
}

#[test]
fn every_part_is_measured_on_both_devices() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny_model(folder.path());
    let counts = ["cpu", "gpu"].map(|device| {
        let result = measured(&["--quick", "--json", "--device", device, "--model", &model]);
        assert_eq!(result["device"], device);
        assert_eq!(result["note"].as_str().map(|note| note.contains("smoke")), Some(true));
        assert!(result["load"]["first_token_s"].as_f64() > result["load"]["load_s"].as_f64());
        assert_eq!(sizes(&result, "prefill", "tokens"), [16]);
        assert_eq!(sizes(&result, "decode", "context"), [4]);
        assert_eq!(sizes(&result, "batches", "streams"), [1, 2]);
        assert_eq!(sizes(&result, "training", "tokens"), [16]);
        assert!(result["beside_adapter"]["time_ratio"].as_f64() > Some(0.0));
        let decode = &result["decode"][0];
        assert!(decode["submits_per_token"].as_f64().unwrap() <= 1.0, "{decode}");
        // Two layers, each with a key and a value row of 2 heads of 16 f32 for 4 + 2 tokens; the head is the embedding.
        let keys = 2 * 6 * (2 * 2 * 16 * 4);
        let weights = result["weight_bytes"].as_u64().unwrap();
        assert_eq!(decode["bytes_per_token"].as_u64(), Some(weights + keys));
        let seen = |kernel: &str| kernel_cases(&result).iter().any(|case| case["kernel"] == kernel);
        let products = match result["software"].as_bool() {
            Some(true) => "matmul_registers matmul_dx_registers",
            _ => "matmul matmul_dx",
        };
        let names = "norm_linears attention matvec norm_swiglu argmax attention_dq attention_dkv rms_norm swiglu lora_a lora_b \
                     lora_grad cross_entropy adamw";
        let mut names = names.split_whitespace().chain(products.split_whitespace());
        assert!(names.all(seen), "{}", result["kernels"]);
        (decode["dispatches_per_token"].clone(), result["training"][0]["dispatches_per_step"].clone())
    });
    assert_eq!(counts[0], counts[1], "a recording is the same on either device");
}

#[test]
fn the_bytes_of_a_product_are_its_weights_and_its_rows() {
    let args = "--quick --json --device cpu --only kernels --arch qwen3-0.6b --type q8_0";
    let result = measured(&args.split(' ').collect::<Vec<_>>());
    assert_eq!(result["model"], "qwen3-0.6b");
    assert!(result.get("decode").is_none(), "only kernels were asked for");
    let cases = kernel_cases(&result).iter();
    let down = cases.clone().find(|case| case["kernel"] == "matvec" && case["what"] == "down");
    let down = down.expect("a case");
    // 1024 rows of 3072: a byte an element and an f16 scale a block of 32; x and y in f32.
    assert_eq!(down["bytes"].as_u64(), Some(1024 * 3072 * 34 / 32 + 4 * (3072 + 1024)));
    assert_eq!(down["flops"].as_u64(), Some(2 * 1024 * 3072));
    assert!(cases.clone().any(|case| case["kernel"] == "matmul" && case["rows"] == 32));
}

#[test]
fn what_cannot_be_measured_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny_model(folder.path());
    let told = |args: &[&str]| {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(told.lines().count(), 1, "{told}");
        told
    };
    assert!(told(&["--device", "cpu", "--arch", "gpt-5"]).contains("llama-8b"));
    let decode = ["--device", "cpu", "--arch", "llama-1b", "--only", "decode"];
    assert!(told(&decode).contains("apprentice synth"));
    let long = ["--device", "cpu", "--model", &model, "--prefill", "16,99"];
    assert!(told(&long).contains("2 to 47"));
}

#[test]
fn the_table_says_what_the_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let (model, out) = (tiny_model(folder.path()), folder.path().join("bench.json"));
    let path = out.display().to_string();
    let args = [
        "--quick",
        "--device",
        "cpu",
        "--model",
        &model,
        "--only",
        "decode,kernels",
        "--out",
        &path,
    ];
    let output = run(&args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap();
    let result: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    let speed = result["decode"][0]["tokens_per_s"].as_f64().unwrap();
    assert!(table.contains(&format!("{speed:.1} tokens/s,    4 tokens of context")), "{table}");
    let cases = kernel_cases(&result).len();
    assert_eq!(table.lines().filter(|line| line.contains('%')).count(), cases, "{table}");
    assert!(table.contains("less than everything: --quick"), "{table}");
}
