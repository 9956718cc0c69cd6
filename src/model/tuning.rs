//! Which way of a one-row product decoding takes: measured once on this device with this model, then kept.
//!
//! Only an answer's decoding reads it; training, scoring and the answers that learning asks for take the plain way, so
//! what is learned does not depend on a clock. A way that gives other numbers than it must is out before it is timed. It
//! knows no files: a face keeps the record and hands it back.

use super::lora::Module;
use super::{Model, ModelError};
use crate::device::{Device, DeviceError, Recording, now_ms};
use crate::kernels::{self, Gemv};
use crate::quant::TensorType;
use crate::tensor::{Tensor, Weight};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Counts up when kernels change enough that old measurements say nothing.
const VERSION: u32 = 1;

/// Bytes of weights that one measurement reads: more than most caches hold.
const SAMPLE_BYTES: u64 = 32 << 20;

/// Rounds of measurements; the least time of each way counts.
const ROUNDS: usize = 5;

/// A measurement takes about this long where one run of it takes less.
const MS: f64 = 3.0;

/// A way must take this share of the plain one's time to be worth another sum's order.
const WORTH: f64 = 0.97;

/// The way of each type of weights; what is not named is computed in the plain way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tuning(Vec<(TensorType, Gemv)>);

/// A tuning as faces keep it.
#[derive(Serialize, Deserialize)]
struct Record {
    /// What was measured: the device, the model's shapes, and the version.
    key: String,
    /// Type's name → way's name.
    ways: BTreeMap<String, String>,
    /// Types and ways that were not timed, as the device refused them or gave other numbers: a defect of ours or of a
    /// driver, kept for whoever looks for it.
    refused: Vec<String>,
}

impl Tuning {
    /// The same way for every type that has it on a device.
    pub fn everywhere(device: &Device, gemv: Gemv) -> Tuning {
        let features = device.features();
        let fitting = TensorType::ALL.into_iter().filter(|ty| gemv.runs(features, *ty));
        Tuning(fitting.map(|ty| (ty, gemv)).collect())
    }

    /// The way of a type.
    pub fn of(&self, ty: TensorType) -> Gemv {
        let found = self.0.iter().find(|(known, _)| *known == ty);
        found.map_or(Gemv::PLAIN, |(_, gemv)| *gemv)
    }

    /// Type's name → way's name.
    pub fn names(&self) -> BTreeMap<String, String> {
        let name = |(ty, gemv): &(TensorType, Gemv)| (ty.name().into(), gemv.name().into());
        self.0.iter().map(name).collect()
    }

    fn write(&self, key: String, refused: Vec<String>) -> Vec<u8> {
        serde_json::to_vec(&Record { key, ways: self.names(), refused }).unwrap_or_default()
    }

    /// A record's tuning, if it was made for `key` and each of `types` has a way in it that the device runs.
    fn read(
        record: &[u8],
        key: &str,
        types: &[TensorType],
        offered: impl Fn(TensorType) -> Vec<Gemv>,
    ) -> Option<Tuning> {
        let record: Record = serde_json::from_slice(record).ok()?;
        let way = |ty: &TensorType| {
            let name = record.ways.get(ty.name())?;
            let gemv = offered(*ty).into_iter().find(|gemv| gemv.name() == name)?;
            Some((*ty, gemv))
        };
        (record.key == key).then(|| types.iter().map(way).collect()).flatten().map(Tuning)
    }
}

/// The ways that are tried.
fn offered(device: &Device, ty: TensorType, lossy: bool) -> Vec<Gemv> {
    let features = device.features();
    let fits = |gemv: &Gemv| (lossy || !gemv.int8) && gemv.runs(features, ty);
    Gemv::ALL.into_iter().filter(fits).collect()
}

impl Model {
    /// The name under which a face keeps this device's and model's tuning.
    pub fn tuning_name(&self, lossy: bool) -> String {
        let digest = Sha256::digest(self.tuning_key(lossy));
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Takes the tuning of `record` where it is of this device and model; else measures, and gives the record to keep.
    /// A CPU device has one way only. Takes some tens of milliseconds.
    /// With `lossy`, ways that round a row to 8 bits are tried too.
    pub async fn tune(
        &mut self,
        record: Option<&[u8]>,
        lossy: bool,
    ) -> Result<Option<Vec<u8>>, ModelError> {
        if self.device.is_cpu() {
            return Ok(None);
        }
        let (key, types) = (self.tuning_key(lossy), self.one_row_types());
        let offered = |ty| offered(&self.device, ty, lossy);
        let known = record.and_then(|record| Tuning::read(record, &key, &types, offered));
        if let Some(known) = known {
            self.tuning = known;
            return Ok(None);
        }
        let (mut ways, mut refused) = (Vec::new(), Vec::new());
        for ty in types {
            let sample = self.tuning_sample(ty);
            let (fastest, bad) = fastest(&self.device, offered(ty), &sample).await?;
            ways.push((ty, fastest));
            refused.extend(bad.iter().map(|gemv| format!("{} {}", ty.name(), gemv.name())));
        }
        self.tuning = Tuning(ways);
        Ok(Some(self.tuning.write(key, refused)))
    }

    /// What a measurement holds for.
    fn tuning_key(&self, lossy: bool) -> String {
        let mut shapes = Vec::new();
        for w in self.one_row_weights() {
            let shape = format!("{} {}x{}", w.ty.name(), w.rows, w.cols);
            if !shapes.contains(&shape) {
                shapes.push(shape);
            }
        }
        let ways = if lossy { "all ways" } else { "exact ways" };
        format!("{VERSION} | {ways} | {} | {}", self.device.identity(), shapes.join(", "))
    }

    /// The matrices that decoding multiplies with one row.
    fn one_row_weights(&self) -> impl Iterator<Item = &Weight> {
        let head = self.weights.head.as_ref().unwrap_or(&self.weights.embedding);
        let linears =
            |layer| Module::ALL.map(|module| super::weights::Layer::linear(layer, module));
        self.weights.layers.iter().flat_map(linears).chain([head])
    }

    fn one_row_types(&self) -> Vec<TensorType> {
        let has = |ty: &TensorType| self.one_row_weights().any(|w| w.ty == *ty);
        TensorType::ALL.into_iter().filter(has).collect()
    }

    /// Some matrices of a type, one at least.
    fn tuning_sample(&self, ty: TensorType) -> Vec<&Weight> {
        let mut bytes = 0;
        let small = |w: &&Weight| {
            let first = bytes == 0;
            bytes += w.bytes();
            first || bytes <= SAMPLE_BYTES
        };
        self.one_row_weights().filter(|w| w.ty == ty).take_while(small).collect()
    }
}

/// The fastest way through matrices of one type that gives the plain way's numbers, and the ways that do not.
async fn fastest(
    device: &Device,
    offered: Vec<Gemv>,
    sample: &[&Weight],
) -> Result<(Gemv, Vec<Gemv>), DeviceError> {
    let widest = |side: fn(&Weight) -> usize| sample.iter().map(|w| side(w)).max().unwrap_or(1);
    let (rows, cols) = (widest(|w| w.rows), widest(|w| w.cols));
    // Numbers of both signs and of some sizes, none of them special.
    let row: Vec<f32> = (0..cols).map(|i| ((i * 37 % 101) as f32 - 50.0) / 29.0).collect();
    let x = Tensor::upload(device, "tuning x", &row, 1, cols)?;
    let y = Tensor::zeros(device, "tuning y", 1, rows)?;
    let run = Run { device, sample, x, y };
    let right = run.product(Gemv::PLAIN).await?;
    let (mut ways, mut refused) = (Vec::new(), Vec::new());
    for gemv in offered {
        let near = |y: Vec<f32>| near(&y, &right, if gemv.int8 { 2e-2 } else { 1e-4 });
        // What the device refuses is no error of the model's.
        if gemv == Gemv::PLAIN || run.product(gemv).await.is_ok_and(near) {
            ways.push((gemv, f64::INFINITY));
        } else {
            refused.push(gemv);
        }
    }
    if ways.len() == 1 {
        return Ok((Gemv::PLAIN, refused));
    }
    let repeats = (MS / run.ms(Gemv::PLAIN, 1).await?.max(0.01)).clamp(1.0, 64.0) as usize;
    for _ in 0..ROUNDS {
        for (gemv, least) in &mut ways {
            *least = least.min(run.ms(*gemv, repeats).await?);
        }
    }
    let plain = ways[0].1;
    let worth = |(gemv, ms): &&(Gemv, f64)| *gemv == Gemv::PLAIN || *ms < WORTH * plain;
    let best = ways.iter().filter(worth).min_by(|a, b| a.1.total_cmp(&b.1));
    Ok((best.map_or(Gemv::PLAIN, |(gemv, _)| *gemv), refused))
}

/// ‖a - b‖ ≤ limit ‖b‖. f32 sums in another order are near 1e-7, rows of 8 bits near 3e-3.
fn near(a: &[f32], b: &[f32], limit: f64) -> bool {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let off: f64 = a.iter().zip(b).map(|(a, b)| square(a - b)).sum();
    let size: f64 = b.iter().map(|b| square(*b)).sum();
    a.len() == b.len() && off <= limit * limit * size
}

/// Products of one row with a sample of matrices.
struct Run<'a> {
    device: &'a Device,
    sample: &'a [&'a Weight],
    x: Tensor,
    y: Tensor,
}

impl Run<'_> {
    fn record(&self, gemv: Gemv, repeats: usize) -> Result<Recording, DeviceError> {
        let mut rec = Recording::new();
        for _ in 0..repeats {
            for w in self.sample {
                let (x, y) = (self.x.reshape(1, w.cols), self.y.reshape(1, w.rows));
                kernels::matvec(&mut rec, w, &x, &y, false, gemv, None)?;
            }
        }
        Ok(rec)
    }

    /// The first matrix' product.
    async fn product(&self, gemv: Gemv) -> Result<Vec<f32>, DeviceError> {
        let w = self.sample[0];
        let (x, y) = (self.x.reshape(1, w.cols), self.y.reshape(1, w.rows));
        let mut rec = Recording::new();
        kernels::matvec(&mut rec, w, &x, &y, false, gemv, None)?;
        self.device.try_out(rec).await?;
        y.read(self.device).await
    }

    async fn ms(&self, gemv: Gemv, repeats: usize) -> Result<f64, DeviceError> {
        self.device.finish().await?;
        let began = now_ms();
        self.device.submit(self.record(gemv, repeats)?)?;
        self.device.finish().await?;
        Ok(now_ms() - began)
    }
}
