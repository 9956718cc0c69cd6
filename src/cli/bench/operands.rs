//! Random operands of kernels: tensors just as large as their use, weights in as many copies as caches cannot hold.
//!
//! Numbers are normal and so are the blocks' scales, as in a model: zeros would share one page of memory. Invariant: what
//! a case binds is what it touches, so that a recording's bytes are the kernel's.

use crate::cli::synth::random_model::blocks;
use crate::device::{Device, DeviceError, View};
use crate::error::Error;
use crate::model::random::Random;
use crate::model::tiles;
use crate::quant::TensorType;
use crate::tensor::{Tensor, Weight};
use std::collections::HashMap;

/// Numbers that are drawn; longer operands repeat them.
const DRAWN: usize = 1 << 16;

/// A maker of operands.
pub struct Operands {
    device: Device,
    random: Random,
    numbers: Vec<f32>,
    pools: HashMap<TensorType, Vec<u8>>,
    cold_bytes: u64,
}

impl Operands {
    /// Operands on `device`; weights are copied until they take `cold_bytes` together.
    pub fn new(device: &Device, cold_bytes: u64) -> Operands {
        let mut random = Random::new(0);
        let numbers = (0..DRAWN).map(|_| random.normal()).collect();
        Operands { device: device.clone(), random, numbers, pools: HashMap::new(), cold_bytes }
    }

    /// A matrix of normal numbers.
    pub fn tensor(&self, rows: usize, cols: usize) -> Result<Tensor, DeviceError> {
        let numbers: Vec<f32> = self.numbers.iter().copied().cycle().take(rows * cols).collect();
        Tensor::upload(&self.device, "operand", &numbers, rows, cols)
    }

    /// A matrix to be written.
    pub fn zeros(&self, rows: usize, cols: usize) -> Result<Tensor, DeviceError> {
        Tensor::zeros(&self.device, "result", rows, cols)
    }

    /// Words.
    pub fn words(&self, words: &[u32]) -> Result<View, DeviceError> {
        Ok(self.device.upload("words", words)?.view())
    }

    /// The spans of `rows` rows over `keys` keys: the last row sees all of them, each row before it one fewer.
    pub fn spans(&self, rows: usize, keys: usize) -> Result<View, DeviceError> {
        let row = |t: usize| [0, (keys - rows + t + 1) as u32, 0, 0];
        self.words((0..rows).map(row).collect::<Vec<_>>().as_flattened())
    }

    /// The rows that see each of `rows` keys in causal attention.
    pub fn key_spans(&self, rows: usize) -> Result<View, DeviceError> {
        let key = |t: usize| [t as u32, rows as u32];
        self.words((0..rows).map(key).collect::<Vec<_>>().as_flattened())
    }

    /// Copies of a set of matrices `[rows, cols]`, at most `most` sets.
    pub fn weights(
        &mut self,
        set: &[(TensorType, usize, usize)],
        most: usize,
    ) -> Result<Vec<Vec<Weight>>, Error> {
        let bytes: u64 =
            set.iter().map(|(ty, rows, cols)| (rows * ty.row_bytes(*cols)) as u64).sum();
        let copies = (self.cold_bytes.div_ceil(bytes) as usize).clamp(1, most.max(1));
        (0..copies).map(|_| set.iter().map(|of| self.weight(*of)).collect()).collect()
    }

    fn weight(&mut self, (ty, rows, cols): (TensorType, usize, usize)) -> Result<Weight, Error> {
        let pool = self.pools.entry(ty);
        let pool = pool.or_insert_with(|| blocks(ty, 1.0 / (cols as f32).sqrt(), &mut self.random));
        let tile = tiles::exact(self.device.features());
        let weight = Weight::alloc(&self.device, "weight", ty, rows, cols).map_err(model)?;
        let weight = Weight { tile, ..weight };
        let row_bytes = ty.row_bytes(cols);
        // Some rows at a time: a large model's matrix is never on the host as a whole.
        let step = ((4 << 20) / row_bytes).clamp(2, rows.max(2)) / 2 * 2;
        for row in (0..rows).step_by(step) {
            let n = step.min(rows - row);
            let raw: Vec<u8> = pool.iter().copied().cycle().take(n * row_bytes).collect();
            weight.write_rows(&self.device, row, &raw)?;
        }
        Ok(weight)
    }
}

fn model(error: crate::tensor::WeightError) -> Error {
    Error::from(crate::model::ModelError::from(error))
}
