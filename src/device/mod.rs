//! Where numbers live and kernels run: a GPU through wgpu, or the CPU as its twin.
//!
//! A device knows buffers, kernels as (name, bindings, params), recording, submit and read-back, and nothing of
//! tensors or models. A [`Recording`] is written once and runs on either device; the only asynchronous calls are
//! the ones that wait for a device: [`Device::open`], [`Device::read`] and [`Device::finish`].

mod buffer;
mod call;
mod cpu;
mod error;
mod gpu;
mod host;
mod kernel;
mod recording;
mod select;
pub mod shader;

pub use buffer::{Buffer, Storage, View};
pub use call::{Access, CpuCall};
pub use cpu::CpuDevice;
pub use error::DeviceError;
pub use gpu::{Features, GpuDevice, Matrices, Tier};
#[cfg(not(target_arch = "wasm32"))]
pub use host::join_pool;
pub use host::{now_ms, threads, yield_to_host};
pub use kernel::{KernelDef, PipelineKey};
pub use recording::{Command, Dispatch, GROUPS_MAX, Recording, Shape};
pub use select::{AdapterSummary, DeviceChoice, adapters, auto_reason};

use bytemuck::Pod;
use std::cell::RefCell;
use std::rc::Rc;

/// What a device did so far: counts that do not depend on the machine's speed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Kernels dispatched.
    pub dispatches: u64,
    /// Submits.
    pub submits: u64,
    /// Bytes now allocated in buffers.
    pub bytes: u64,
    /// Most bytes ever allocated at once.
    pub bytes_peak: u64,
}

/// A device; clones share it.
#[derive(Clone)]
pub struct Device(Rc<Inner>);

struct Inner {
    backend: Backend,
    stats: Rc<RefCell<Stats>>,
}

enum Backend {
    Cpu(CpuDevice),
    Gpu(Box<GpuDevice>),
}

impl Device {
    /// Opens the device that `choice` names; [`DeviceChoice::Auto`] takes a hardware GPU, else the CPU.
    pub async fn open(choice: DeviceChoice) -> Result<Device, DeviceError> {
        let backend = match choice {
            DeviceChoice::Cpu => Backend::Cpu(CpuDevice::new()),
            DeviceChoice::Gpu => Backend::Gpu(Box::new(GpuDevice::open(false).await?)),
            DeviceChoice::Auto => match GpuDevice::open(true).await {
                Ok(gpu) => Backend::Gpu(Box::new(gpu)),
                Err(DeviceError::NoAdapter { .. }) => Backend::Cpu(CpuDevice::new()),
                Err(error) => return Err(error),
            },
        };
        Ok(Self::from_backend(backend))
    }

    /// The CPU device.
    pub fn cpu() -> Device {
        Self::from_backend(Backend::Cpu(CpuDevice::new()))
    }

    /// A GPU whose limits are clamped to WebGPU's defaults and whose bindings are at most `binding_bytes_max`.
    pub async fn open_gpu_clamped(binding_bytes_max: u64) -> Result<Device, DeviceError> {
        let gpu = GpuDevice::open_clamped(binding_bytes_max).await?;
        Ok(Self::from_backend(Backend::Gpu(Box::new(gpu))))
    }

    fn from_backend(backend: Backend) -> Device {
        Device(Rc::new(Inner { backend, stats: Rc::default() }))
    }

    /// Is this the CPU device?
    pub fn is_cpu(&self) -> bool {
        matches!(self.0.backend, Backend::Cpu(_))
    }

    /// `cpu` or `gpu`.
    pub fn kind(&self) -> &'static str {
        if self.is_cpu() { "cpu" } else { "gpu" }
    }

    /// The adapter's name, or what the CPU device runs on.
    pub fn adapter_name(&self) -> String {
        match &self.0.backend {
            Backend::Cpu(cpu) => cpu.name(),
            Backend::Gpu(gpu) => gpu.name(),
        }
    }

    /// What it has beyond core WebGPU.
    pub fn features(&self) -> Features {
        match &self.0.backend {
            Backend::Cpu(_) => Features::default(),
            Backend::Gpu(gpu) => gpu.features(),
        }
    }

    /// The tier of kernels that run: the CPU device has none.
    pub fn tier(&self) -> Option<Tier> {
        (!self.is_cpu()).then(|| self.features().tier())
    }

    /// The device and its driver, with their versions: what measurements of kernels hold for.
    pub fn identity(&self) -> String {
        match &self.0.backend {
            Backend::Cpu(cpu) => cpu.name(),
            Backend::Gpu(gpu) => gpu.identity(),
        }
    }

    /// Most bytes of one binding; larger matrices are split by rows.
    pub fn binding_bytes_max(&self) -> u64 {
        match &self.0.backend {
            Backend::Cpu(_) => u64::from(u32::MAX),
            Backend::Gpu(gpu) => gpu.binding_bytes_max(),
        }
    }

    /// A zeroed buffer of `bytes` (rounded up to 16).
    pub fn alloc(&self, label: &str, bytes: u64) -> Result<Buffer, DeviceError> {
        let bytes = bytes.max(16).next_multiple_of(16);
        let storage = match &self.0.backend {
            Backend::Cpu(_) => Storage::cpu(bytes)?,
            Backend::Gpu(gpu) => gpu.alloc(label, bytes)?,
        };
        Ok(Buffer::new(storage, label, bytes, Rc::clone(&self.0.stats)))
    }

    /// A buffer with `data` in it.
    pub fn upload<T: Pod>(&self, label: &str, data: &[T]) -> Result<Buffer, DeviceError> {
        let buffer = self.alloc(label, std::mem::size_of_val(data) as u64)?;
        self.write(&buffer, 0, data)?;
        Ok(buffer)
    }

    /// Writes `data` at byte `offset` (a multiple of 4), in order with submits.
    pub fn write<T: Pod>(
        &self,
        buffer: &Buffer,
        offset: u64,
        data: &[T],
    ) -> Result<(), DeviceError> {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        let aligned = offset.is_multiple_of(4) && bytes.len().is_multiple_of(4);
        if !aligned || offset + bytes.len() as u64 > buffer.bytes() {
            return Err(DeviceError::Range {
                buffer: buffer.label().to_string(),
                offset,
                bytes: bytes.len() as u64,
                size: buffer.bytes(),
            });
        }
        match (&self.0.backend, buffer.storage()) {
            (Backend::Cpu(_), Storage::Cpu(memory)) => memory.write(offset, bytes),
            (Backend::Gpu(gpu), Storage::Gpu(target)) => gpu.write(target, offset, bytes),
            _ => return Err(DeviceError::ForeignBuffer { buffer: buffer.label().to_string() }),
        }
        Ok(())
    }

    /// Runs a recording. On the GPU it is queued, in as many submits as the arena and the time limit ask for.
    pub fn submit(&self, recording: Recording) -> Result<(), DeviceError> {
        let mut stats = self.0.stats.borrow_mut();
        stats.dispatches += recording.dispatches();
        match &self.0.backend {
            Backend::Cpu(cpu) => {
                stats.submits += 1;
                drop(stats);
                cpu.run(&recording)
            }
            Backend::Gpu(gpu) => {
                stats.submits += gpu.submit(&recording)?;
                Ok(())
            }
        }
    }

    /// Runs a recording of kernels that this device may not take, and waits for it. What it refuses is this call's error,
    /// and no later one's.
    pub async fn try_out(&self, recording: Recording) -> Result<(), DeviceError> {
        match &self.0.backend {
            Backend::Cpu(_) => self.submit(recording),
            Backend::Gpu(gpu) => {
                let scopes = gpu.scopes();
                let submitted = self.submit(recording);
                gpu.scoped(scopes).await?;
                submitted?;
                self.finish().await
            }
        }
    }

    /// Reads a view back; waits for all that was submitted before.
    pub async fn read<T: Pod>(&self, view: &View) -> Result<Vec<T>, DeviceError> {
        self.submit_and_read(Recording::new(), view).await
    }

    /// Runs a recording and reads a view back, in one submit where one is enough.
    pub async fn submit_and_read<T: Pod>(
        &self,
        recording: Recording,
        view: &View,
    ) -> Result<Vec<T>, DeviceError> {
        let bytes = match (&self.0.backend, view.buffer.storage()) {
            (Backend::Cpu(_), Storage::Cpu(memory)) => {
                if !recording.commands().is_empty() {
                    self.submit(recording)?;
                }
                memory.read(view.offset, view.bytes)
            }
            (Backend::Gpu(gpu), Storage::Gpu(_)) => {
                let count = |submits| {
                    let mut stats = self.0.stats.borrow_mut();
                    stats.dispatches += recording.dispatches();
                    stats.submits += submits;
                };
                gpu.submit_and_read(&recording, view, count).await?
            }
            _ => {
                return Err(DeviceError::ForeignBuffer { buffer: view.buffer.label().to_string() });
            }
        };
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }

    /// Waits until all that was submitted is done, and reports errors that came late.
    pub async fn finish(&self) -> Result<(), DeviceError> {
        match &self.0.backend {
            Backend::Cpu(_) => Ok(()),
            Backend::Gpu(gpu) => gpu.finish().await,
        }
    }

    /// Counts since the device was opened.
    pub fn stats(&self) -> Stats {
        *self.0.stats.borrow()
    }
}
