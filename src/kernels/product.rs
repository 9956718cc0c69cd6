//! What the two products through a frozen weight share: their shape checks.
//!
//! It knows neither of them, so that `linear` can choose between them without a circle.

use super::launch::Checks;
use crate::device::{DeviceError, KernelDef};
use crate::tensor::{Tensor, Weight};

pub(super) fn check(
    kernel: &'static KernelDef,
    w: &Weight,
    x: &Tensor,
    y: &Tensor,
) -> Result<(), DeviceError> {
    Checks::new(kernel)
        .that(x.rows > 0, "no rows")
        .shape("x", x, x.rows, w.cols)
        .shape("y", y, x.rows, w.rows)
        .done()
}
