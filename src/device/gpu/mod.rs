//! The GPU device: wgpu on Vulkan natively and on WebGPU in a browser.
//!
//! One uniform arena with dynamic offsets, cached pipelines and bind groups, one compute pass a submit, one
//! read-back path. Errors that the driver reports late are kept and returned by the next call.

mod arena;
mod context;
mod features;
mod pipelines;
mod submit;

pub use context::GpuDevice;
pub use features::{Features, Matrices, Tier};

use std::cell::RefCell;
use std::rc::Rc;

/// A wgpu buffer, with the list of freed buffers whose bind groups must go.
pub struct GpuStorage {
    pub(super) raw: wgpu::Buffer,
    freed: Rc<RefCell<Vec<u64>>>,
}

impl GpuStorage {
    /// Called when the last handle goes: a cached bind group would keep the memory.
    pub(super) fn forget(&self, id: u64) {
        self.freed.borrow_mut().push(id);
    }
}
