//! Shape, type and a device buffer: f32 activations, and weight matrices in their quantized types.
//!
//! A [`Tensor`] is a row-major f32 matrix; a [`Weight`] is a frozen matrix in a packed type, split by rows where
//! it is larger than one binding. Neither knows what a model is. Invariant: a weight's columns are a multiple of
//! 32, so that every row starts on a block.

mod weight;

pub use weight::{Part, TileType, Weight, WeightError};

use crate::device::{Buffer, Device, DeviceError, View};

/// A row-major f32 matrix `[rows, cols]` on a device; clones share it.
#[derive(Clone)]
pub struct Tensor {
    /// Its memory: at least `rows * cols` f32.
    pub view: View,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

impl Tensor {
    /// A zeroed matrix.
    pub fn zeros(
        device: &Device,
        label: &str,
        rows: usize,
        cols: usize,
    ) -> Result<Tensor, DeviceError> {
        let buffer = device.alloc(label, (rows * cols * 4) as u64)?;
        Ok(Tensor::over(buffer.view(), rows, cols))
    }

    /// A matrix with `data` in it.
    pub fn upload(
        device: &Device,
        label: &str,
        data: &[f32],
        rows: usize,
        cols: usize,
    ) -> Result<Tensor, DeviceError> {
        assert_eq!(data.len(), rows * cols, "{label}: data for [{rows}, {cols}]");
        Ok(Tensor::over(device.upload(label, data)?.view(), rows, cols))
    }

    /// A matrix over memory that exists.
    pub fn over(view: View, rows: usize, cols: usize) -> Tensor {
        let bytes = (rows * cols * 4) as u64;
        assert!(
            bytes <= view.bytes,
            "{}: [{rows}, {cols}] in {} B",
            view.buffer.label(),
            view.bytes
        );
        Tensor { view, rows, cols }
    }

    /// The same memory with fewer rows.
    pub fn top(&self, rows: usize) -> Tensor {
        assert!(rows <= self.rows, "{} rows of {}", rows, self.rows);
        Tensor { view: self.view.clone(), rows, cols: self.cols }
    }

    /// The same memory as another shape of at most its size.
    pub fn reshape(&self, rows: usize, cols: usize) -> Tensor {
        Tensor::over(self.view.clone(), rows, cols)
    }

    /// Its buffer.
    pub fn buffer(&self) -> &Buffer {
        &self.view.buffer
    }

    /// Its numbers, read back.
    pub async fn read(&self, device: &Device) -> Result<Vec<f32>, DeviceError> {
        let bytes = (self.rows * self.cols * 4) as u64;
        let view = View { bytes, ..self.view.clone() };
        device.read(&view).await
    }
}
