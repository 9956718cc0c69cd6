//! The ways in which a product with one row can be computed: which files its kernels are linked with.
//!
//! Decoding may take any of them, by measurement; training and scoring take the plain one. It knows no kernel and
//! measures nothing. A way that a device or a type does not have is not an error here: [`Gemv::runs`] says so before.

use super::launch::weight_link;
use crate::device::Features;
use crate::quant::TensorType;

/// A way: how lanes add up, and what they multiply. Two choices that do not touch each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Gemv {
    /// Lanes add up by `subgroupAdd`, else through workgroup memory. The same sum in another order.
    pub subgroups: bool,
    /// x is rounded to 8 bits with a scale for 8 numbers and multiplied by `dot4I8Packed` with the weights' own
    /// integers: lossy, by at most 1/254 of the largest of the 8 for each number.
    pub int8: bool,
}

impl Gemv {
    /// What every device runs, and every type.
    pub const PLAIN: Gemv = Gemv { subgroups: false, int8: false };

    /// Every way, the plain one first.
    pub const ALL: [Gemv; 4] = [
        Gemv::PLAIN,
        Gemv { subgroups: true, int8: false },
        Gemv { subgroups: false, int8: true },
        Gemv { subgroups: true, int8: true },
    ];

    /// The imports of a kernel that can be computed in these ways.
    pub(super) const LINKS: &[&str] = &["sum4", "weight", "dot"];

    /// Its name, as caches keep it and users see it.
    pub fn name(self) -> &'static str {
        match (self.subgroups, self.int8) {
            (false, false) => "plain",
            (true, false) => "subgroups",
            (false, true) => "int8",
            (true, true) => "subgroups-int8",
        }
    }

    /// Can a device of these features multiply a matrix of this type so?
    pub fn runs(self, features: Features, ty: TensorType) -> bool {
        let integers = ty.is_quantized() && features.int8_dot;
        (!self.subgroups || features.subgroups) && (!self.int8 || integers)
    }

    /// The imports of a kernel that norms the row itself: it has a choice of sums, and rounds nothing.
    pub(super) const SUM_LINKS: &[&str] = &["sum4", "weight"];

    /// Their files for matrices of this type.
    pub(super) fn sum_links(self, ty: TensorType) -> [(&'static str, &'static str); 2] {
        let [weight] = weight_link(ty);
        [("sum4", if self.subgroups { "reduce4_subgroups" } else { "reduce4" }), weight]
    }

    /// The files to link for a matrix of this type. Types that are no integers have no `int8` way.
    pub(super) fn links(self, ty: TensorType) -> [(&'static str, &'static str); 3] {
        let [sum4, weight] = self.sum_links(ty);
        let dot = if self.int8 && ty.is_quantized() { "dot_int8" } else { "dot_float" };
        [sum4, weight, ("dot", dot)]
    }
}
