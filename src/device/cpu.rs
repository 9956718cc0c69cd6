//! The CPU device: runs a recording by calling each kernel's twin on slices of host memory.
//!
//! Twins get their params and bindings through [`CpuCall`], in the shader's order. Threads are used inside twins
//! (natively), never between dispatches. It knows nothing of what kernels compute.

use super::buffer::{Storage, View};
use super::error::DeviceError;
use super::kernel::Access;
use super::recording::{Command, Dispatch, Recording};
use bytemuck::Pod;
use std::cell::Cell;

/// The CPU device.
pub struct CpuDevice;

impl CpuDevice {
    pub(super) fn new() -> CpuDevice {
        CpuDevice
    }

    pub(super) fn name(&self) -> String {
        let threads = super::host::threads();
        let plural = if threads == 1 { "" } else { "s" };
        format!("CPU, {threads} thread{plural}")
    }

    pub(super) fn run(&self, recording: &Recording) -> Result<(), DeviceError> {
        for command in recording.commands() {
            match command {
                Command::Dispatch(dispatch) => run_dispatch(dispatch)?,
                Command::Copy { from, to } => {
                    let bytes = memory(from)?.read(from.offset, from.bytes);
                    memory(to)?.write(to.offset, &bytes);
                }
                Command::Clear(view) => {
                    memory(view)?.write(view.offset, &vec![0; view.bytes as usize]);
                }
            }
        }
        Ok(())
    }
}

fn memory(view: &View) -> Result<&super::buffer::CpuMemory, DeviceError> {
    match view.buffer.storage() {
        Storage::Cpu(memory) => Ok(memory),
        Storage::Gpu(_) => {
            Err(DeviceError::ForeignBuffer { buffer: view.buffer.label().to_string() })
        }
    }
}

fn run_dispatch(dispatch: &Dispatch) -> Result<(), DeviceError> {
    let mut slots = Vec::with_capacity(dispatch.views.len());
    for (view, access) in dispatch.views.iter().zip(dispatch.kernel.bindings) {
        let base = memory(view)?.as_mut_ptr();
        // SAFETY: `View`s are made within their buffer, so the range is inside the allocation.
        let start = unsafe { base.add(view.offset as usize) };
        slots.push(Slot {
            start,
            bytes: view.bytes as usize,
            access: *access,
            taken: Cell::new(false),
        });
    }
    let call = CpuCall { params: &dispatch.params, slots: &slots, groups: dispatch.groups };
    (dispatch.kernel.cpu)(&call);
    Ok(())
}

struct Slot {
    start: *mut u8,
    bytes: usize,
    access: Access,
    taken: Cell<bool>,
}

/// What a CPU twin is called with.
pub struct CpuCall<'a> {
    params: &'a [u8],
    slots: &'a [Slot],
    /// The GPU's workgroups; most twins do not need them.
    pub groups: [u32; 3],
}

impl CpuCall<'_> {
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
