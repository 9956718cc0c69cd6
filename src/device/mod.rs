//! Where numbers live and kernels run: a GPU through wgpu, or the CPU as its twin.
//!
//! A device knows buffers, kernels as (name, bindings, params), recording, submit and read-back, and nothing of
//! tensors or models. A [`Recording`] is written once and runs on either device; the only asynchronous calls are
//! the ones that wait for a device: [`Device::open`], [`Device::read`] and [`Device::finish`].

mod account;
mod buffer;
mod call;
mod cpu;
mod error;
mod gpu;
mod host;
mod kernel;
mod limits;
mod recording;
mod select;
pub mod shader;

pub use account::{Account, Item};
pub use buffer::{Buffer, Storage, View};
pub use call::{Access, CpuCall};
pub use cpu::CpuDevice;
pub use error::DeviceError;
pub use gpu::{Features, GpuDevice, Matrices, Tier};
#[cfg(not(target_arch = "wasm32"))]
pub use host::join_pool;
pub use host::{now_ms, threads, yield_to_host};
pub use kernel::{KernelDef, PipelineKey};
pub use limits::Limits;
pub use recording::{Command, Dispatch, GROUPS_MAX, Recording, Shape};
pub use select::{AdapterSummary, DeviceChoice, adapters, auto_reason};

use bytemuck::Pod;
use std::cell::{Cell, RefCell};
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
    limits: Cell<Limits>,
}

enum Backend {
    Cpu(CpuDevice),
    Gpu(Box<GpuDevice>),
    /// Counts what is allocated, and has no memory.
    Counting,
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

    /// A device that counts what is allocated and allocates nothing: writes are dropped, and nothing runs.
    pub fn counting(limits: Limits) -> Device {
        Self::with_limits(Backend::Counting, limits)
    }

    fn from_backend(backend: Backend) -> Device {
        let limits = match &backend {
            Backend::Gpu(gpu) => gpu.limits(),
            Backend::Cpu(_) | Backend::Counting => CpuDevice::limits(),
        };
        Self::with_limits(backend, limits)
    }

    fn with_limits(backend: Backend, limits: Limits) -> Device {
        let bytes = limits.own_bytes;
        let stats = Stats { bytes, bytes_peak: bytes, ..Stats::default() };
        let stats = Rc::new(RefCell::new(stats));
        Device(Rc::new(Inner { backend, stats, limits: Cell::new(limits) }))
    }

    /// What the device allows.
    pub fn limits(&self) -> Limits {
        self.0.limits.get()
    }

    /// Lets all buffers together take at most `bytes`.
    pub fn limit_memory(&self, bytes: u64) {
        self.0.limits.set(Limits { memory_bytes_max: Some(bytes), ..self.limits() });
    }

    /// Is this the CPU device?
    pub fn is_cpu(&self) -> bool {
        matches!(self.0.backend, Backend::Cpu(_))
    }

    /// `cpu` or `gpu`.
    pub fn kind(&self) -> &'static str {
        match self.0.backend {
            Backend::Cpu(_) => "cpu",
            Backend::Gpu(_) => "gpu",
            Backend::Counting => "counting",
        }
    }

    /// The adapter's name, or what the CPU device runs on.
    pub fn adapter_name(&self) -> String {
        match &self.0.backend {
            Backend::Cpu(cpu) => cpu.name(),
            Backend::Gpu(gpu) => gpu.name(),
            Backend::Counting => "no memory".into(),
        }
    }

    /// What it has beyond core WebGPU.
    pub fn features(&self) -> Features {
        match &self.0.backend {
            Backend::Cpu(_) | Backend::Counting => Features::default(),
            Backend::Gpu(gpu) => gpu.features(),
        }
    }

    /// The tier of kernels that run: the CPU device has none.
    pub fn tier(&self) -> Option<Tier> {
        matches!(self.0.backend, Backend::Gpu(_)).then(|| self.features().tier())
    }

    /// The device and its driver, with their versions: what measurements of kernels hold for.
    pub fn identity(&self) -> String {
        match &self.0.backend {
            Backend::Cpu(cpu) => cpu.name(),
            Backend::Gpu(gpu) => gpu.identity(),
            Backend::Counting => "no memory".into(),
        }
    }

    /// Most bytes of one binding; larger matrices are split by rows.
    pub fn binding_bytes_max(&self) -> u64 {
        self.limits().binding_bytes_max
    }

    /// A zeroed buffer of `bytes` (rounded up to 16).
    pub fn alloc(&self, label: &str, bytes: u64) -> Result<Buffer, DeviceError> {
        let bytes = bytes.max(16).next_multiple_of(16);
        let limits = self.limits();
        if bytes > limits.buffer_bytes_max {
            let buffer = label.to_string();
            return Err(DeviceError::BufferSize { buffer, bytes, max: limits.buffer_bytes_max });
        }
        if limits.memory_bytes_max.is_some_and(|max| self.stats().bytes + bytes > max) {
            return Err(DeviceError::OutOfMemory { bytes });
        }
        let storage = match &self.0.backend {
            Backend::Cpu(_) => Storage::cpu(bytes)?,
            Backend::Gpu(gpu) => gpu.alloc(label, bytes)?,
            Backend::Counting => Storage::Counted,
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
            (Backend::Counting, Storage::Counted) => {}
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
            Backend::Counting => Err(DeviceError::CountsOnly),
        }
    }

    /// Runs a recording of kernels that this device may not take, and waits for it. What it refuses is this call's error,
    /// and no later one's.
    pub async fn try_out(&self, recording: Recording) -> Result<(), DeviceError> {
        match &self.0.backend {
            Backend::Cpu(_) | Backend::Counting => self.submit(recording),
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
            (Backend::Counting, _) => return Err(DeviceError::CountsOnly),
            _ => {
                return Err(DeviceError::ForeignBuffer { buffer: view.buffer.label().to_string() });
            }
        };
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }

    /// Waits until all that was submitted is done, and reports errors that came late.
    pub async fn finish(&self) -> Result<(), DeviceError> {
        match &self.0.backend {
            Backend::Cpu(_) | Backend::Counting => Ok(()),
            Backend::Gpu(gpu) => gpu.finish().await,
        }
    }

    /// Counts since the device was opened.
    pub fn stats(&self) -> Stats {
        *self.0.stats.borrow()
    }
}
