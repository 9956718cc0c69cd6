//! What a CPU twin is called with: the params and the bindings as slices, in the shader's order.
//!
//! It knows no devices and no recordings. Invariant: an output is handed out once, so no two slices of a call alias.

use bytemuck::Pod;
use std::cell::Cell;

/// How a kernel uses a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`: written, and read where the kernel accumulates.
    Write,
}

/// One storage binding of a call.
pub(super) struct Slot {
    start: *mut u8,
    bytes: usize,
    access: Access,
    taken: Cell<bool>,
}

impl Slot {
    /// A binding of `bytes` from `start` on, which the caller keeps alive and unaliased during the call.
    pub(super) fn new(start: *mut u8, bytes: usize, access: Access) -> Slot {
        Slot { start, bytes, access, taken: Cell::new(false) }
    }
}

/// What a CPU twin is called with.
pub struct CpuCall<'a> {
    params: &'a [u8],
    slots: &'a [Slot],
    /// The GPU's workgroups; most twins do not need them.
    pub groups: [u32; 3],
}

impl<'a> CpuCall<'a> {
    pub(super) fn new(params: &'a [u8], slots: &'a [Slot], groups: [u32; 3]) -> CpuCall<'a> {
        CpuCall { params, slots, groups }
    }

    /// The params.
    pub fn params<P: Pod>(&self) -> P {
        bytemuck::pod_read_unaligned(self.params)
    }

    /// Storage binding `i` (0 is the first after the params), read.
    pub fn input<T: Pod>(&self, i: usize) -> &[T] {
        let slot = &self.slots[i];
        assert_eq!(slot.access, Access::Read, "binding {i} is no input");
        // SAFETY: the range is inside a live allocation aligned for u32 (T is f32, u32 or i32 by use), and
        // recording refused any writer of the same buffer in this dispatch.
        bytemuck::cast_slice(unsafe { std::slice::from_raw_parts(slot.start, slot.bytes) })
    }

    /// Storage binding `i`, to be written. Each output can be taken once.
    #[expect(clippy::mut_from_ref, reason = "each output is handed out once, as `taken` asserts")]
    pub fn output<T: Pod>(&self, i: usize) -> &mut [T] {
        let slot = &self.slots[i];
        assert_eq!(slot.access, Access::Write, "binding {i} is no output");
        assert!(!slot.taken.replace(true), "output {i} was taken before");
        // SAFETY: as in `input`; recording refused overlapping bindings, and `taken` a second slice of this one.
        bytemuck::cast_slice_mut(unsafe { std::slice::from_raw_parts_mut(slot.start, slot.bytes) })
    }
}
