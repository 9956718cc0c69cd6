//! The uniform arena: one slot of params a dispatch, bound with dynamic offsets, written at most once a submit.
//!
//! It knows no kernels. Decoding submits the same params token after token, so what is there already is not written
//! again. Invariant: a submit has at most `SLOTS` dispatches.

use std::cell::RefCell;

/// Bytes between two slots of the arena: WebGPU's alignment of dynamic offsets.
pub const SLOT: usize = 256;
/// Slots of the arena: the most dispatches of one submit.
pub const SLOTS: usize = 2048;
/// Bytes of the arena.
pub const ARENA_BYTES: u64 = (SLOT * SLOTS) as u64;

/// The uniform buffer of all params.
pub struct Arena {
    pub buffer: wgpu::Buffer,
    /// What the buffer's beginning holds once the queue has come to it.
    written: RefCell<Vec<u8>>,
}

impl Arena {
    /// Allocates it.
    pub fn new(device: &wgpu::Device) -> Arena {
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("params arena"),
            size: ARENA_BYTES,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Arena { buffer, written: RefCell::default() }
    }

    /// Puts the params of the next submit in place.
    pub fn write(&self, queue: &wgpu::Queue, params: Vec<u8>) {
        let mut written = self.written.borrow_mut();
        if !written.starts_with(&params) {
            queue.write_buffer(&self.buffer, 0, &params);
            *written = params;
        }
    }
}
