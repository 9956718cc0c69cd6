//! y = x Wᵀ through a frozen weight: `matvec` for one row, else `matmul`, which takes one row too where it is better at it.
//!
//! Not a kernel itself: it chooses. One row is bound by the weight's bytes, many rows by arithmetic, and each of the
//! two has its kernel. One row is computed in the plain way here, so that training and scoring give the same bits
//! whatever a tuning found.

use super::gemv::Gemv;
use super::{matmul, matvec};
use crate::device::{DeviceError, Recording};
use crate::tensor::{Tensor, TileType, Weight};

/// y[t, n] (+)= Σ_k x[t, k] w[n, k]; x is `[rows, in]`, w `[out, in]`, y `[rows, out]`.
pub fn linear(
    rec: &mut Recording,
    w: &Weight,
    x: &Tensor,
    y: &Tensor,
    accumulate: bool,
) -> Result<(), DeviceError> {
    if x.rows == 1 && !matches!(w.tile, TileType::Registers { .. }) {
        matvec(rec, w, x, y, accumulate, Gemv::PLAIN, None)
    } else {
        matmul(rec, w, x, y, accumulate)
    }
}
