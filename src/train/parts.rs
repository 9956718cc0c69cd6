//! Flat vectors in parts of one binding, and sums over them.
//!
//! It knows no gradients. Invariant: the parts follow from the length and the device's limits alone, so a sum over them is
//! the same bits each time.

use crate::device::{Buffer, Device, DeviceError, Recording, View};
use crate::kernels::{self, DOT_PARTIALS};
use crate::model::lora::Flat;
use std::ops::Range;

/// The flat vectors' values in parts that fit a binding each.
pub fn flat_parts(device: &Device, len: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let most = (device.limits().binding_bytes_max / 4) as usize / 64 * 64;
    (0..len).step_by(most.max(64)).map(move |at| at..len.min(at + most))
}

/// The numbers of a range of a flat vector.
pub fn part(flat: &Flat, range: &Range<usize>) -> View {
    flat.buffer.slice(4 * range.start as u64, 4 * range.len() as u64)
}

/// out `[1]`: the product of two flat vectors over some parts; `partials` has `DOT_PARTIALS` numbers for each.
pub fn product(
    rec: &mut Recording,
    [a, b]: [&Flat; 2],
    parts: &[Range<usize>],
    partials: &Buffer,
    out: &View,
) -> Result<(), DeviceError> {
    for (i, range) in parts.iter().enumerate() {
        let row = 4 * DOT_PARTIALS as u64;
        let partials = partials.slice(i as u64 * row, row);
        kernels::dot(rec, &part(a, range), &part(b, range), range.len(), &partials)?;
    }
    let n = parts.len() * DOT_PARTIALS;
    kernels::sum(rec, &partials.slice(0, 4 * n as u64), n, out)
}
