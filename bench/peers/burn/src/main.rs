//! burn's matrix products (wgpu on Vulkan, f32 weights) beside ours (quantized weights) over the same shapes, in turns, on the
//! same adapter.
//!
//!     cargo build --release && cargo run --release --manifest-path bench/peers/burn/Cargo.toml
//!
//! Each round runs `apprentice bench --device gpu --only kernels`, takes the shapes of its products from the answer, and runs
//! burn's on them. The best time of the rounds counts, and the ratios are burn's time over ours. Arguments: the path of the
//! `apprentice` program [target/release/apprentice], and the rounds [3].

use burn_tensor::{Distribution, Tensor};
use burn_wgpu::graphics::Vulkan;
use burn_wgpu::{RuntimeOptions, Wgpu, WgpuDevice, init_setup};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Instant;

type Backend = Wgpu<f32, i32>;

/// Products between two waits.
const BATCH: usize = 4;
/// Runs of a batch, of which the best counts.
const RUNS: usize = 3;

/// Rows of x, output features, input features.
type Shape = [usize; 3];

/// Milliseconds of our products by shape: the plain way of each.
fn ours(program: &str) -> Result<BTreeMap<Shape, f64>, String> {
    let args = ["bench", "--json", "--device", "gpu", "--only", "kernels"];
    let output = Command::new(program).args(args).output();
    let output =
        output.map_err(|error| format!("{program}: {error}; run `cargo build --release`"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let result: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let mut times = BTreeMap::new();
    for case in result["kernels"]["cases"].as_array().ok_or("the bench has no kernels")? {
        let kernel = case["kernel"].as_str().unwrap_or_default();
        let size = |key: &Value| key.as_u64().unwrap_or(0) as usize;
        if kernel == "matvec" || kernel == "matmul" {
            let shape = [size(&case["rows"]), size(&case["shape"][0]), size(&case["shape"][1])];
            let ms = case["ms"].as_f64().unwrap_or(f64::INFINITY);
            let best = times.entry(shape).or_insert(f64::INFINITY);
            *best = ms.min(*best);
        }
    }
    Ok(times)
}

/// Milliseconds of y = x Wᵀ in f32.
fn burns(device: &WgpuDevice, [rows, out, cols]: Shape) -> f64 {
    let normal = Distribution::Normal(0.0, 1.0);
    let x = Tensor::<Backend, 2>::random([rows, cols], normal, device);
    let w = Tensor::<Backend, 2>::random([out, cols], normal, device);
    let batch = || {
        let start = Instant::now();
        let results: Vec<_> = (0..BATCH).map(|_| x.clone().matmul(w.clone().transpose())).collect();
        // Reading one number of each waits for all of it and fuses nothing of the next batch into this one.
        for y in results {
            y.slice([0..1, 0..1]).into_data();
        }
        1e3 * start.elapsed().as_secs_f64() / BATCH as f64
    };
    // The first batch compiles, and measures which of its kernels is the fastest.
    batch();
    (0..RUNS).map(|_| batch()).fold(f64::INFINITY, f64::min)
}

fn main() -> Result<(), String> {
    let mut args = std::env::args().skip(1);
    let program = args.next().unwrap_or_else(|| "target/release/apprentice".into());
    let rounds: usize =
        args.next().map_or(Ok(3), |text| text.parse()).map_err(|_| "rounds is a number")?;
    let device = WgpuDevice::DefaultDevice;
    let setup = init_setup::<Vulkan>(&device, RuntimeOptions::default());
    eprintln!("burn 0.20.1 on {:?}", setup.adapter.get_info().name);
    let mut best: BTreeMap<Shape, [f64; 2]> = BTreeMap::new();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for (shape, ms) in ours(&program)? {
            let row = best.entry(shape).or_insert([f64::INFINITY; 2]);
            *row = [row[0].min(ms), row[1].min(burns(&device, shape))];
        }
    }
    let rows: Vec<Value> = best
        .iter()
        .map(|(shape, [ours, burns])| json!({ "rows_out_in": shape, "ours_ms": ours, "burn_ms": burns, "ratio": burns / ours }))
        .collect();
    for ([rows, out, cols], [ours, burns]) in &best {
        eprintln!(
            "{rows:4} x {out:6} x {cols:5}: ours {ours:9.3} ms, burn {burns:9.3} ms, ratio {:.2}",
            burns / ours
        );
    }
    println!(
        "{}",
        json!({ "burn": "0.20.1", "adapter": setup.adapter.get_info().name, "products": rows })
    );
    Ok(())
}
