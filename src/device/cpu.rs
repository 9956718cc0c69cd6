//! The CPU device: runs a recording by calling each kernel's twin on slices of host memory.
//!
//! Twins get their params and bindings through [`CpuCall`], in the shader's order. Threads are used inside twins
//! (natively), never between dispatches. It knows nothing of what kernels compute.

use super::buffer::{Storage, View};
use super::call::{CpuCall, Slot};
use super::error::DeviceError;
use super::limits::Limits;
use super::recording::{Command, Dispatch, Recording};

/// The CPU device.
pub struct CpuDevice;

impl CpuDevice {
    pub(super) fn new() -> CpuDevice {
        CpuDevice
    }

    /// Host memory has no small pieces.
    pub(super) fn limits() -> Limits {
        Limits {
            binding_bytes_max: u64::from(u32::MAX),
            buffer_bytes_max: isize::MAX as u64,
            memory_bytes_max: None,
            own_bytes: 0,
        }
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
        Storage::Gpu(_) | Storage::Counted => {
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
        slots.push(Slot::new(start, view.bytes as usize, *access));
    }
    let call = CpuCall::new(&dispatch.params, &slots, dispatch.groups);
    (dispatch.kernel.cpu)(&call);
    Ok(())
}
