//! The uniform arena: one slot of params a dispatch, bound with dynamic offsets, written once a submit.
//!
//! It knows no kernels. Invariant: a submit has at most `SLOTS` dispatches.

/// Bytes between two slots of the arena: WebGPU's alignment of dynamic offsets.
pub const SLOT: usize = 256;
/// Slots of the arena: the most dispatches of one submit.
pub const SLOTS: usize = 2048;
/// The uniform buffer of all params.
pub struct Arena {
    pub buffer: wgpu::Buffer,
}

impl Arena {
    /// Allocates it.
    pub fn new(device: &wgpu::Device) -> Arena {
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("params arena"),
            size: (SLOT * SLOTS) as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Arena { buffer }
    }
}
