//! Buffers and views of them: handles to a device's memory, freed with their last clone.
//!
//! A buffer knows its bytes and its label, and nothing of shapes. Invariant: `Storage::Cpu` memory is reached
//! only by the CPU device, one dispatch at a time, with at most one writer of a range (see `cpu.rs`).

use super::error::DeviceError;
use super::{Stats, gpu::GpuStorage};
use std::cell::{RefCell, UnsafeCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A buffer on a device; clones share it.
#[derive(Clone)]
pub struct Buffer(Rc<Inner>);

struct Inner {
    id: u64,
    label: String,
    bytes: u64,
    storage: Storage,
    stats: Rc<RefCell<Stats>>,
}

/// Where a buffer's bytes are.
pub enum Storage {
    /// Host memory of the CPU device.
    Cpu(CpuMemory),
    /// A wgpu buffer.
    Gpu(GpuStorage),
    /// None: the buffer was only counted.
    Counted,
}

impl Storage {
    pub(super) fn cpu(bytes: u64) -> Result<Storage, DeviceError> {
        let words = usize::try_from(bytes / 16).map_err(|_| DeviceError::OutOfMemory { bytes })?;
        // Fresh pages are zero already: what is never used is never touched, and takes no memory. Asked for a cache line's
        // alignment the allocator would touch them all, so there is room to begin on one.
        let memory: Vec<[u32; 4]> = bytemuck::allocation::try_zeroed_vec(words + LINE / 16)
            .map_err(|()| DeviceError::OutOfMemory { bytes })?;
        Ok(Storage::Cpu(CpuMemory(UnsafeCell::new(memory.into_boxed_slice()))))
    }
}

impl Buffer {
    pub(super) fn new(
        storage: Storage,
        label: &str,
        bytes: u64,
        stats: Rc<RefCell<Stats>>,
    ) -> Buffer {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        {
            let mut stats = stats.borrow_mut();
            stats.bytes += bytes;
            stats.bytes_peak = stats.bytes_peak.max(stats.bytes);
        }
        Buffer(Rc::new(Inner { id, label: label.to_string(), bytes, storage, stats }))
    }

    /// A number that no other buffer of this process has or had.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// What it was called when it was made.
    pub fn label(&self) -> &str {
        &self.0.label
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.0.bytes
    }

    /// All of it.
    pub fn view(&self) -> View {
        View { buffer: self.clone(), offset: 0, bytes: self.0.bytes }
    }

    /// A part of it: `offset` must be a multiple of 256 (WebGPU's binding alignment) where it is bound.
    pub fn slice(&self, offset: u64, bytes: u64) -> View {
        assert!(offset + bytes <= self.0.bytes, "{}: slice past the end", self.0.label);
        View { buffer: self.clone(), offset, bytes }
    }

    pub(super) fn storage(&self) -> &Storage {
        &self.0.storage
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stats.borrow_mut().bytes -= self.bytes;
        if let Storage::Gpu(storage) = &self.storage {
            storage.forget(self.id);
        }
    }
}

/// A range of a buffer.
#[derive(Clone)]
pub struct View {
    /// The buffer.
    pub buffer: Buffer,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub bytes: u64,
}

impl View {
    /// Do the two share bytes?
    pub fn overlaps(&self, other: &View) -> bool {
        self.buffer.id() == other.buffer.id()
            && self.offset < other.offset + other.bytes
            && other.offset < self.offset + self.bytes
    }
}

impl From<&Buffer> for View {
    fn from(buffer: &Buffer) -> View {
        buffer.view()
    }
}

/// Bytes of a cache line.
const LINE: usize = 64;

/// Host memory of the CPU device. A buffer begins with the first cache line in it, and ends somewhere in the last.
pub struct CpuMemory(UnsafeCell<Box<[[u32; 4]]>>);

impl CpuMemory {
    pub(super) fn write(&self, offset: u64, bytes: &[u8]) {
        // SAFETY: the CPU device is single-threaded at this level and no dispatch runs now, so no slice is alive.
        let memory = unsafe { &mut *self.0.get() };
        let first = memory.as_ptr().cast::<u8>().align_offset(LINE);
        let memory: &mut [u8] = bytemuck::cast_slice_mut(memory);
        memory[first + offset as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    pub(super) fn read(&self, offset: u64, bytes: u64) -> Vec<u8> {
        // SAFETY: as in `write`.
        let memory = unsafe { &*self.0.get() };
        let first = memory.as_ptr().cast::<u8>().align_offset(LINE);
        let memory: &[u8] = bytemuck::cast_slice(memory);
        memory[first + offset as usize..][..bytes as usize].to_vec()
    }

    /// The first byte, for the CPU device's dispatches.
    pub(super) fn as_mut_ptr(&self) -> *mut u8 {
        // SAFETY: only the pointer is taken; whoever makes slices of it upholds the aliasing rules. There is room for a line
        // before the first byte.
        unsafe {
            let memory = (*self.0.get()).as_mut_ptr().cast::<u8>();
            memory.add(memory.align_offset(LINE))
        }
    }
}
