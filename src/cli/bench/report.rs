//! The result of a bench as lines for a person.
//!
//! It reads the JSON that `--json` prints, so that both say the same.

use serde_json::Value;

/// Every line.
pub fn lines(result: &Value) -> Vec<String> {
    let mut lines = vec![format!(
        "{} on {} ({})",
        text(&result["model"]),
        text(&result["device"]),
        text(&result["adapter"])
    )];
    if let Some(note) = result["note"].as_str() {
        lines.push(format!("less than everything: {note}"));
    }
    let load = &result["load"];
    if load.is_object() {
        let (load, first) = (number(&load["load_s"]), number(&load["first_token_s"]));
        lines.push(format!("load      {load:9.2} s, first token after {first:.2} s"));
    }
    for (part, key, what) in [
        ("prefill", "tokens", "tokens"),
        ("decode", "context", "tokens of context"),
        ("batches", "streams", "texts at once"),
        ("training", "tokens", "tokens a step"),
    ] {
        for row in rows(&result[part]) {
            let speed = number(&row["tokens_per_s"]);
            lines.push(format!("{part:9} {speed:9.1} tokens/s, {:4} {what}", number(&row[key])));
        }
    }
    let beside = &result["beside_adapter"];
    if beside.is_object() {
        let (speed, times) = (number(&beside["tokens_per_s"]), number(&beside["time_ratio"]));
        lines.push(format!(
            "adapter   {speed:9.1} tokens/s decoding beside rank {}: {times:.3} times the time",
            beside["rank"]
        ));
        let (ms, bytes) = (number(&beside["switch_ms"]), number(&beside["switch_bytes"]));
        lines.push(format!("switch    {ms:9.1} ms to another adapter of {:.1} MB", bytes / 1e6));
    }
    lines.extend(counts(result));
    lines.extend(kernels(&result["kernels"]));
    lines
}

/// What a token and a step ask of the device.
fn counts(result: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(row) = rows(&result["decode"]).first() {
        let (dispatches, submits) =
            (number(&row["dispatches_per_token"]), number(&row["submits_per_token"]));
        let megabytes = number(&row["bytes_per_token"]) / 1e6;
        lines.push(format!(
            "a decoded token: {dispatches:.1} dispatches, {submits:.2} submits, {megabytes:.1} MB read"
        ));
    }
    if let Some(row) = rows(&result["training"]).first() {
        lines.push(format!("a training step: {} dispatches", row["dispatches_per_step"]));
    }
    if let Some(peak) = result["peak_device_bytes"].as_u64() {
        lines.push(format!("buffers at most: {} MiB", peak >> 20));
    }
    lines
}

fn kernels(kernels: &Value) -> Vec<String> {
    if !kernels.is_object() {
        return Vec::new();
    }
    let (copy, peak) = (number(&kernels["copy_gb_per_s"]), number(&kernels["peak_gflop_per_s"]));
    let mut lines = vec![
        format!("kernels over the shapes of {}", text(&kernels["shapes_of"])),
        format!("copy {copy:.1} GB/s, multiplications and additions {peak:.1} GFLOP/s"),
        format!(
            "{:14} {:20} {:>5} {:>14} {:>10} {:>8} {:>7} {:>9} {:>7}",
            "kernel", "of", "rows", "shape", "ms", "GB/s", "copy", "GFLOP/s", "peak"
        ),
    ];
    lines.extend(rows(&kernels["cases"]).iter().map(case));
    lines
}

fn case(row: &Value) -> String {
    let shape: Vec<String> = rows(&row["shape"]).iter().map(Value::to_string).collect();
    let [ms, gb, copy, gflop, peak] =
        ["ms", "gb_per_s", "share_of_copy", "gflop_per_s", "share_of_peak"]
            .map(|key| number(&row[key]));
    format!(
        "{:14} {:20} {:5} {:>14} {ms:10.4} {gb:8.2} {:6.0}% {gflop:9.2} {:6.1}%",
        text(&row["kernel"]),
        text(&row["what"]),
        number(&row["rows"]),
        shape.join(" x "),
        100.0 * copy,
        100.0 * peak,
    )
}

fn rows(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}
