//! How many-row products hold this model's weights on its device: f32, in registers, f16 or cooperative matrices.
//!
//! The device's features decide, and one comparison with f32 where numbers are rounded; no clock does, so the same device gives the same bits in
//! prefill, scoring and training. Invariant: a way that the device refuses or that gives other numbers is not taken.

use super::lora::Module;
use super::weights::Weights;
use crate::device::{Device, DeviceError, Features, Recording};
use crate::kernels;
use crate::tensor::{Tensor, TileType, Weight};

/// Rows of the comparison: more than a tile, and no multiple of one.
const ROWS: usize = 70;

/// Relative error of a product that is taken for the same. Rounding both operands to f16 makes about 3e-4.
const NEAR: f64 = 2e-3;

/// What a device should be tried with, the best first. A software adapter emulates f16: there f32 is faster.
fn candidates(features: Features) -> Vec<TileType> {
    let f16 = (features.f16 && !features.software).then_some(TileType::F16);
    features.matrices.map(TileType::Matrices).into_iter().chain(f16).collect()
}

/// The tile that this device multiplies these weights with.
pub(super) async fn choose(
    device: &Device,
    weights: &mut Weights,
) -> Result<TileType, DeviceError> {
    for tile in candidates(device.features()) {
        if is_right(device, weights, tile).await? {
            weights.set_tile(tile);
            return Ok(tile);
        }
    }
    let exact = exact(device.features());
    weights.set_tile(exact);
    Ok(exact)
}

/// The tile of a device where no number is rounded. A program that plays a GPU has no workgroup memory to gain from.
pub fn exact(features: Features) -> TileType {
    match features {
        Features { software: true, subgroups: quads, .. } => TileType::Registers { quads },
        _ => TileType::F32,
    }
}

/// Does the tile give f32's numbers, forward and backward, for one matrix of each type that it holds?
async fn is_right(
    device: &Device,
    weights: &mut Weights,
    tile: TileType,
) -> Result<bool, DeviceError> {
    let mut seen = Vec::new();
    let mut any = false;
    for layer in 0..weights.layers.len() {
        for module in Module::ALL {
            let ty = weights.layers[layer].linear(module).ty;
            if seen.contains(&ty) || !tile.holds(ty) {
                continue;
            }
            seen.push(ty);
            let mut results = Vec::new();
            for tile in [TileType::F32, tile] {
                weights.set_tile(tile);
                results.push(products(device, weights.layers[layer].linear(module)).await);
            }
            let tried = results.pop();
            let Some(Ok(exact)) = results.pop() else { return Ok(false) };
            // What the device refuses is no error of the model's.
            let Some(Ok(tried)) = tried else { return Ok(false) };
            if !tried.iter().zip(&exact).all(|(a, b)| near(a, b)) {
                return Ok(false);
            }
            any = true;
        }
    }
    Ok(any)
}

/// x Wᵀ and dy W of numbers of many sizes.
async fn products(device: &Device, w: &Weight) -> Result<[Vec<f32>; 2], DeviceError> {
    let number = |i: usize| ((i * 37 % 101) as f32 - 50.0) / [29.0, 3.0e3, 2.0e-2][i % 3];
    let filled = |cols: usize| -> Result<Tensor, DeviceError> {
        let numbers: Vec<f32> = (0..ROWS * cols).map(number).collect();
        Tensor::upload(device, "tile check", &numbers, ROWS, cols)
    };
    let (x, dy) = (filled(w.cols)?, filled(w.rows)?);
    let y = Tensor::zeros(device, "tile check", ROWS, w.rows)?;
    let dx = Tensor::zeros(device, "tile check", ROWS, w.cols)?;
    let mut rec = Recording::new();
    kernels::matmul(&mut rec, w, &x, &y, false)?;
    kernels::matmul_dx(&mut rec, w, &dy, &dx, false)?;
    device.try_out(rec).await?;
    Ok([y.read(device).await?, dx.read(device).await?])
}

fn near(a: &[f32], b: &[f32]) -> bool {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let off: f64 = a.iter().zip(b).map(|(a, b)| square(a - b)).sum();
    off <= NEAR * NEAR * b.iter().map(|b| square(*b)).sum::<f64>()
}
