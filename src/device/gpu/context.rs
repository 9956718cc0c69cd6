//! Opening a GPU with its features and limits, and plain memory traffic: allocate, write, read, wait.

use super::super::buffer::Storage;
use super::super::error::DeviceError;
use super::super::host;
use super::super::limits::Limits;
use super::GpuStorage;
use super::arena::{ARENA_BYTES, Arena};
use super::features::Features;
use super::pipelines::Pipelines;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

/// A GPU.
pub struct GpuDevice {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) pipelines: RefCell<Pipelines>,
    pub(super) arena: Arena,
    pub(super) freed: Rc<RefCell<Vec<u64>>>,
    info: wgpu::AdapterInfo,
    features: Features,
    limits: wgpu::Limits,
    fault: Fault,
}

/// The first error that arrived outside a call.
#[derive(Clone, Default)]
struct Fault(Arc<Mutex<Option<DeviceError>>>);

impl Fault {
    fn set(&self, error: DeviceError) {
        if let Ok(mut slot) = self.0.lock() {
            slot.get_or_insert(error);
        }
    }

    fn check(&self) -> Result<(), DeviceError> {
        match self.0.lock() {
            Ok(slot) => slot.clone().map_or(Ok(()), Err),
            Err(_) => Ok(()),
        }
    }
}

impl GpuDevice {
    /// Opens the best adapter; with `hardware_only`, a software adapter counts as none.
    pub async fn open(hardware_only: bool) -> Result<GpuDevice, DeviceError> {
        let (adapter, features) = best_adapter(hardware_only).await?;
        let limits = adapter.limits();
        // The limits are asked for as the adapter has them, since browsers grant only what is asked.
        Self::from_adapter(adapter, features, limits).await
    }

    /// Opens any adapter with WebGPU's default limits, bindings of at most `binding_bytes_max`.
    pub async fn open_clamped(binding_bytes_max: u64) -> Result<GpuDevice, DeviceError> {
        let (adapter, features) = best_adapter(false).await?;
        let limits = wgpu::Limits {
            max_storage_buffer_binding_size: binding_bytes_max,
            ..wgpu::Limits::defaults()
        };
        Self::from_adapter(adapter, features, limits).await
    }

    async fn from_adapter(
        adapter: wgpu::Adapter,
        mut features: Features,
        limits: wgpu::Limits,
    ) -> Result<GpuDevice, DeviceError> {
        let info = adapter.get_info();
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("apprentice"),
            required_features: features.asked(),
            required_limits: limits.clone(),
            experimental_features: experimental(features),
            ..Default::default()
        };
        let (device, queue) = adapter.request_device(&descriptor).await.map_err(|error| {
            DeviceError::NoDevice { adapter: info.name.clone(), reason: error.to_string() }
        })?;
        // wgpu cannot ask a browser for subgroups; the page does it on the way, and leaves word.
        features.subgroups |= host::page_asked_for_subgroups();
        let fault = Fault::default();
        let slot = fault.clone();
        device.on_uncaptured_error(Arc::new(move |error| slot.set(from_wgpu(error))));
        let slot = fault.clone();
        device.set_device_lost_callback(move |reason, message| {
            // wgpu reports the drop of the device itself in the same way; nobody is left to read that one.
            slot.set(DeviceError::Lost { reason: format!("{reason:?}: {message}") });
        });
        let arena = Arena::new(&device);
        Ok(GpuDevice {
            pipelines: RefCell::new(Pipelines::default()),
            arena,
            freed: Rc::default(),
            features,
            device,
            queue,
            info,
            limits,
            fault,
        })
    }

    pub(in crate::device) fn name(&self) -> String {
        let driver = if self.info.driver.is_empty() { "WebGPU" } else { &self.info.driver };
        let name = if self.info.name.is_empty() { "GPU" } else { &self.info.name };
        format!("{name} ({driver})")
    }

    pub(in crate::device) fn features(&self) -> Features {
        self.features
    }

    /// The adapter, its driver and their versions: what measurements of kernels hold for.
    pub(in crate::device) fn identity(&self) -> String {
        let wgpu::AdapterInfo { name, driver, driver_info, backend, .. } = &self.info;
        let (vendor, device) = (self.info.vendor, self.info.device);
        format!("{backend} {vendor:04x}:{device:04x} {name} | {driver} {driver_info}")
    }

    pub(in crate::device) fn limits(&self) -> Limits {
        let buffer_bytes_max = self.limits.max_buffer_size;
        // 2 GiB and more are avoided: on some drivers the length of such a binding reads as 0.
        let binding = self.limits.max_storage_buffer_binding_size.min((1 << 31) - 256);
        Limits {
            binding_bytes_max: binding.min(buffer_bytes_max),
            buffer_bytes_max,
            memory_bytes_max: None,
            own_bytes: ARENA_BYTES,
        }
    }

    pub(in crate::device) fn alloc(&self, label: &str, bytes: u64) -> Result<Storage, DeviceError> {
        self.fault.check()?;
        let raw = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: bytes,
            usage: wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Ok(Storage::Gpu(GpuStorage { raw, freed: Rc::clone(&self.freed) }))
    }

    pub(in crate::device) fn write(&self, target: &GpuStorage, offset: u64, bytes: &[u8]) {
        self.queue.write_buffer(&target.raw, offset, bytes);
    }

    /// A buffer that the host can map, for `bytes`.
    pub(super) fn staging(&self, bytes: u64) -> wgpu::Buffer {
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("read-back"),
            size: bytes,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    }

    /// What was copied to a staging buffer, once all that was submitted before is done.
    pub(super) async fn mapped(&self, staging: &wgpu::Buffer) -> Result<Vec<u8>, DeviceError> {
        let (sender, receiver) = futures_channel::oneshot::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            // A dropped receiver means that the caller gave up; there is nobody to tell.
            sender.send(result).ok();
        });
        self.wait();
        let mapped = receiver.await;
        self.fault.check()?;
        match mapped {
            Ok(Ok(())) => {}
            other => return Err(DeviceError::Lost { reason: format!("read-back: {other:?}") }),
        }
        let data = staging
            .get_mapped_range(..)
            .map_err(|error| DeviceError::Lost { reason: error.to_string() })?
            .to_vec();
        staging.unmap();
        Ok(data)
    }

    pub(in crate::device) async fn finish(&self) -> Result<(), DeviceError> {
        let (sender, receiver) = futures_channel::oneshot::channel();
        self.queue.on_submitted_work_done(move || {
            // As above: nobody waits any more.
            sender.send(()).ok();
        });
        self.wait();
        let done = receiver.await;
        self.fault.check()?;
        done.map_err(|_| DeviceError::Lost { reason: "the queue was dropped".into() })
    }

    /// Catches what is refused from now on, until [`Self::scoped`].
    pub(in crate::device) fn scopes(&self) -> [wgpu::ErrorScopeGuard; 2] {
        let filters = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation];
        filters.map(|filter| self.device.push_error_scope(filter))
    }

    /// The first error that the scopes caught.
    pub(in crate::device) async fn scoped(
        &self,
        [internal, validation]: [wgpu::ErrorScopeGuard; 2],
    ) -> Result<(), DeviceError> {
        // The last one pushed is popped first; both before anything waits.
        let caught = (validation.pop(), internal.pop());
        let caught = (caught.0.await, caught.1.await);
        caught.0.or(caught.1).map_or(Ok(()), |error| Err(from_wgpu(error)))
    }

    /// Natively callbacks run inside `poll`; in a browser the event loop runs them and `poll` does nothing.
    fn wait(&self) {
        if let Err(error) = self.device.poll(wgpu::PollType::wait_indefinitely()) {
            self.fault.set(DeviceError::Lost { reason: error.to_string() });
        }
    }

    /// The first error that arrived outside a call, if any: it stays until the device is opened anew.
    pub(super) fn check_fault(&self) -> Result<(), DeviceError> {
        self.fault.check()
    }
}

impl Limits {
    /// What every WebGPU adapter allows at least.
    pub fn webgpu() -> Limits {
        Limits {
            binding_bytes_max: 128 << 20,
            buffer_bytes_max: 256 << 20,
            memory_bytes_max: None,
            own_bytes: ARENA_BYTES,
        }
    }
}

fn experimental(features: Features) -> wgpu::ExperimentalFeatures {
    if features.matrices.is_none() {
        return wgpu::ExperimentalFeatures::disabled();
    }
    // SAFETY: of experimental features only cooperative matrices are asked for. Their loads and stores are not bounds
    // checked; the kernels that use them touch whole fragments of their own workgroup memory only.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}

async fn best_adapter(hardware_only: bool) -> Result<(wgpu::Adapter, Features), DeviceError> {
    let wanted = if hardware_only { "hardware GPU" } else { "GPU" };
    let none = || DeviceError::NoAdapter { wanted: wanted.into() };
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let options = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..Default::default()
    };
    let adapter = instance.request_adapter(&options).await.map_err(|_| none())?;
    if hardware_only && adapter.get_info().device_type == wgpu::DeviceType::Cpu {
        return Err(none());
    }
    let features = Features::of(&adapter, &instance.wgsl_language_features());
    Ok((adapter, features))
}

fn from_wgpu(error: wgpu::Error) -> DeviceError {
    match error {
        wgpu::Error::OutOfMemory { .. } => DeviceError::OutOfMemory { bytes: 0 },
        other => DeviceError::Validation { reason: other.to_string() },
    }
}
