//! What every wrapper needs: grids of any size, shape checks as errors, and the link of a weight's type.
//!
//! It knows no kernel. Invariant: a grid from [`groups`] has at least as many workgroups as were asked for, and a
//! shader finds its number as `group.x + group.y * groups.x`.

use crate::device::{DeviceError, GROUPS_MAX, KernelDef, View};
use crate::quant::TensorType;
use crate::tensor::{Tensor, TileType, Weight};

/// A kernel's params, as bytes that the shader's `Params` has too, and the list of its fields and their offsets that
/// the tests hold against the shader.
macro_rules! params {
    ($($field:ident: $ty:ty,)*) => {
        #[repr(C)]
        #[derive(Clone, Copy, ::bytemuck::Pod, ::bytemuck::Zeroable)]
        pub(super) struct Params {
            $(pub $field: $ty,)*
        }

        /// The fields of the params and their offsets in bytes.
        pub(super) const LAYOUT: &[(&str, usize)] =
            &[$((stringify!($field), std::mem::offset_of!(Params, $field)),)*];
    };
}
pub(super) use params;

/// Lanes of a workgroup where a kernel has no reason for another number.
pub const WG: u32 = 256;

/// Lanes of a workgroup that reduces one row of `cols` values: a head's row would leave most of [`WG`] idle.
pub fn row_lanes(cols: usize) -> u32 {
    (cols.next_power_of_two() as u32).clamp(64, WG)
}

/// A grid of at least `n` workgroups (`n` ≥ 1), folded into the second dimension where one is too short.
pub fn groups(n: usize) -> [u32; 3] {
    let max = GROUPS_MAX as usize;
    let folds = n.div_ceil(max).max(1);
    [n.div_ceil(folds).max(1) as u32, folds as u32, 1]
}

/// The error that says what `kernel` was given.
pub fn refuse(kernel: &'static KernelDef, reason: String) -> DeviceError {
    DeviceError::Dispatch { kernel: kernel.name, reason }
}

/// Checks what a wrapper relies on, one line a fact.
pub struct Checks {
    kernel: &'static KernelDef,
    wrong: Vec<String>,
}

impl Checks {
    /// No fact yet.
    pub fn new(kernel: &'static KernelDef) -> Checks {
        Checks { kernel, wrong: Vec::new() }
    }

    /// `holds`, or the dispatch is refused for `reason`.
    pub fn that(mut self, holds: bool, reason: &str) -> Checks {
        if !holds {
            self.wrong.push(reason.to_string());
        }
        self
    }

    /// `tensor` is `[rows, cols]`.
    pub fn shape(mut self, name: &str, tensor: &Tensor, rows: usize, cols: usize) -> Checks {
        if (tensor.rows, tensor.cols) != (rows, cols) {
            let (has_rows, has_cols) = (tensor.rows, tensor.cols);
            self.wrong.push(format!("{name} is [{has_rows}, {has_cols}], not [{rows}, {cols}]"));
        }
        self
    }

    /// `view` has room for `n` words.
    pub fn words(mut self, name: &str, view: &View, n: usize) -> Checks {
        if view.bytes < 4 * n as u64 {
            self.wrong.push(format!("{name} has {} bytes for {n} words", view.bytes));
        }
        self
    }

    /// All that does not hold, as one error.
    pub fn done(self) -> Result<(), DeviceError> {
        if self.wrong.is_empty() {
            return Ok(());
        }
        Err(refuse(self.kernel, self.wrong.join("; ")))
    }
}

/// Links a kernel's `#import weight` to the type's block layout.
pub fn weight_link(ty: TensorType) -> [(&'static str, &'static str); 1] {
    let file = match ty {
        TensorType::F32 => "weight_f32",
        TensorType::F16 => "weight_f16",
        TensorType::BF16 => "weight_bf16",
        TensorType::Q4_0 => "weight_q4_0",
        TensorType::Q4_1 => "weight_q4_1",
        TensorType::Q5_0 => "weight_q5_0",
        TensorType::Q5_1 => "weight_q5_1",
        TensorType::Q8_0 => "weight_q8_0",
        TensorType::Q4K => "weight_q4_k",
        TensorType::Q5K => "weight_q5_k",
        TensorType::Q6K => "weight_q6_k",
    };
    [("weight", file)]
}

/// Links a product's `#import tile` beside its weight's type.
pub fn tile_links(w: &Weight) -> [(&'static str, &'static str); 2] {
    let [weight] = weight_link(w.ty);
    [weight, ("tile", if w.tile == TileType::F16 { "tile_f16" } else { "tile_f32" })]
}

/// Links a product's `#import matrices` of this size beside its weight's type.
pub fn matrices_links(ty: TensorType, side: u32) -> [(&'static str, &'static str); 2] {
    let [weight] = weight_link(ty);
    [weight, ("matrices", if side == 16 { "matrices_16" } else { "matrices_8" })]
}

/// The type in a kernel's params, for the CPU twin.
pub fn weight_type(id: u32) -> TensorType {
    TensorType::from_gguf_id(id).expect("wrappers write a type's own number")
}
