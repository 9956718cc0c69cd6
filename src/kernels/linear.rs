//! y = x Wᵀ through a frozen weight: `matvec` for one row, else `matmul`.
//!
//! Not a kernel itself: it chooses, and holds what the two share.

use super::launch::Checks;
use super::{matmul, matvec};
use crate::device::{DeviceError, KernelDef, Recording};
use crate::tensor::{Tensor, Weight};

/// Where a product lands, and whether it is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinearShape {
    /// The first row of y.
    pub row: usize,
    /// y += instead of y =.
    pub accumulate: bool,
}

/// y[row + t, n] (+)= Σ_k x[t, k] w[n, k]; x is `[rows, in]`, w `[out, in]`, y `[.., out]`.
pub fn linear(
    rec: &mut Recording,
    w: &Weight,
    x: &Tensor,
    y: &Tensor,
    shape: LinearShape,
) -> Result<(), DeviceError> {
    if x.rows == 1 { matvec(rec, w, x, y, shape) } else { matmul(rec, w, x, y, shape) }
}

pub(super) fn check(
    kernel: &'static KernelDef,
    w: &Weight,
    x: &Tensor,
    y: &Tensor,
    shape: LinearShape,
) -> Result<(), DeviceError> {
    Checks::new(kernel)
        .shape("x", x, x.rows, w.cols)
        .shape("y", y, y.rows, w.rows)
        .that(x.rows > 0 && shape.row + x.rows <= y.rows, "rows past the end of y")
        .done()
}
