//! Gradient surgery: what teaches gives way where it works against what protects.
//!
//! Two gradients are kept apart until the step: of new lessons, and of what protects (replay, KL to the base, EWC). Before
//! AdamW, the first is projected off the second where their product is negative, and both are added (asymmetric PCGrad).
//! It knows no lessons. Invariant: the protecting gradient is never altered.

use super::parts::{flat_parts, part, product};
use crate::device::{Account, Buffer, Device, DeviceError, Recording};
use crate::kernels;
use crate::model::config::Config;
use crate::model::lora::{Flat, LoraLayout, Module};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Over which part of the adapter a conflict is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Surgery {
    /// Nowhere: the gradients are added.
    #[default]
    Off,
    /// The whole adapter: one product.
    Global,
    /// Each layer by itself.
    Layers,
}

/// Bytes from one number to the next in the sums: WebGPU's binding alignment.
const STRIDE: u64 = 256;

/// The second gradient, and where its products are kept.
pub struct Protected {
    /// The gradient of what protects.
    pub grads: Flat,
    /// A group's product and square, `STRIDE` bytes apart each.
    sums: Buffer,
    /// Ranges of the flat vectors by group, each of one binding.
    groups: Vec<Vec<Range<usize>>>,
}

impl Protected {
    /// Memory on the account's device; none where surgery is off.
    pub fn new(
        account: &mut Account,
        config: &Config,
        layout: &LoraLayout,
        surgery: Surgery,
    ) -> Result<Option<Protected>, DeviceError> {
        let device = &account.device().clone();
        let groups = match surgery {
            Surgery::Off => return Ok(None),
            Surgery::Global => vec![parts(device, 0..layout.len)],
            Surgery::Layers => layers(config, layout).map(|range| parts(device, range)).collect(),
        };
        let grads = Flat::zeros(device, "protecting gradients", layout)?;
        let sums = device.alloc("products of gradients", 2 * STRIDE * groups.len() as u64)?;
        account.book("protecting gradient");
        Ok(Some(Protected { grads, sums, groups }))
    }

    /// Makes `grads` the sum of both gradients, without what works against this one; `partials` has room for the sums of
    /// all parts of a flat vector.
    pub fn merge(
        &self,
        rec: &mut Recording,
        grads: &Flat,
        partials: &Buffer,
    ) -> Result<(), DeviceError> {
        for (i, group) in self.groups.iter().enumerate() {
            let at = 2 * STRIDE * i as u64;
            let (both, square) = (self.sums.slice(at, 4), self.sums.slice(at + STRIDE, 4));
            product(rec, [grads, &self.grads], group, partials, &both)?;
            product(rec, [&self.grads, &self.grads], group, partials, &square)?;
            for range in group {
                let (h, g) = (part(&self.grads, range), part(grads, range));
                kernels::surgery(rec, &h, &both, &square, &g, range.len())?;
            }
        }
        Ok(())
    }
}

/// The ranges of the layers.
fn layers(config: &Config, layout: &LoraLayout) -> impl Iterator<Item = Range<usize>> {
    let first = |layer| layout.slot(layer, Module::ALL[0]).a;
    let end = move |layer| if layer + 1 < config.layers { first(layer + 1) } else { layout.len };
    (0..config.layers).map(move |layer| first(layer)..end(layer))
}

/// A range in parts of one binding each.
fn parts(device: &Device, range: Range<usize>) -> Vec<Range<usize>> {
    let moved = |part: Range<usize>| range.start + part.start..range.start + part.end;
    flat_parts(device, range.len()).map(moved).collect()
}
