//! What the two products through a frozen weight share: where they land, and their shape checks.
//!
//! It knows neither of them, so that `linear` can choose between them without a circle.

use super::launch::Checks;
use crate::device::{DeviceError, KernelDef};
use crate::tensor::{Tensor, Weight};

/// Where a product lands, and whether it is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinearShape {
    /// The first row of y.
    pub row: usize,
    /// y += instead of y =.
    pub accumulate: bool,
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
