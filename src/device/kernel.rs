//! One line of the kernel table: everything that a dispatch, a test or a lint needs to know of a kernel.
//!
//! A kernel is one name thrice: its shader, its wrapper and its CPU twin, with the same bindings in the same
//! order: params first (binding 0, uniform), then inputs, then outputs.

use super::call::{Access, CpuCall};

/// A kernel.
pub struct KernelDef {
    /// Its name: of the shader file, the wrapper and the twin.
    pub name: &'static str,
    /// The shader, imports unresolved.
    pub wgsl: &'static str,
    /// Storage bindings 1.. in order.
    pub bindings: &'static [Access],
    /// Size of the params at binding 0, a multiple of 16.
    pub params_bytes: usize,
    /// Pipeline constants that every dispatch must give.
    pub overrides: &'static [&'static str],
    /// Import names that every dispatch must link to a file (`weight` → `weight_q4_1`).
    pub links: &'static [&'static str],
    /// The CPU twin.
    pub cpu: fn(&CpuCall<'_>),
}

impl std::fmt::Debug for KernelDef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KernelDef").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What makes a pipeline: a kernel, its links and its constants. Its `Debug` text is the wgpu label.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PipelineKey {
    /// The kernel's name.
    pub kernel: &'static str,
    /// Import name → file stem.
    pub links: Vec<(&'static str, &'static str)>,
    /// Constant → value.
    pub overrides: Vec<(&'static str, u32)>,
}
