//! Which devices there are, and which one `auto` takes and why.
//!
//! It opens none of them. A software adapter is never `auto`'s choice: the CPU device is faster.

use super::error::DeviceError;
use super::gpu::Features;
use serde::Serialize;
use std::str::FromStr;

/// What a user chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// A hardware GPU if there is one, else the CPU.
    #[default]
    Auto,
    /// A GPU, also a software one.
    Gpu,
    /// The CPU.
    Cpu,
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "gpu" => Ok(Self::Gpu),
            "cpu" => Ok(Self::Cpu),
            other => Err(format!("unknown device `{other}`; choose auto, gpu or cpu")),
        }
    }
}

/// An adapter as `apprentice devices` lists it.
#[derive(Debug, Clone, Serialize)]
pub struct AdapterSummary {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: &'static str,
    /// The tier of kernels that it could run.
    pub tier: &'static str,
    /// What it has beyond core WebGPU and kernels use.
    pub features: Vec<String>,
    /// Most bytes of one storage binding.
    pub binding_bytes_max: u64,
    /// Most bytes of one buffer.
    pub buffer_bytes_max: u64,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Invocations of one workgroup.
    pub invocations: u32,
}

/// All adapters of this machine (in a browser: the one that it offers).
pub async fn adapters() -> Vec<AdapterSummary> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let all = instance.enumerate_adapters(wgpu::Backends::all()).await;
    let language = instance.wgsl_language_features();
    all.iter().map(|adapter| summary(adapter, Features::of(adapter, &language))).collect()
}

fn summary(adapter: &wgpu::Adapter, features: Features) -> AdapterSummary {
    let info = adapter.get_info();
    let limits = adapter.limits();
    AdapterSummary {
        name: info.name,
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "other",
        },
        tier: features.tier().name(),
        features: features.names(),
        binding_bytes_max: limits.max_storage_buffer_binding_size,
        buffer_bytes_max: limits.max_buffer_size,
        workgroup_bytes: limits.max_compute_workgroup_storage_size,
        invocations: limits.max_compute_invocations_per_workgroup,
    }
}

/// Which device `auto` takes among `adapters`, and why, in one sentence.
pub fn auto_reason(adapters: &[AdapterSummary]) -> String {
    if let Some(hardware) = adapters.iter().find(|a| a.kind != "software") {
        return format!("gpu: `{}` is a hardware GPU", hardware.name);
    }
    match adapters.first() {
        Some(software) => format!(
            "cpu: `{}` is a software adapter, slower than the CPU device; --device gpu takes it all the same",
            software.name
        ),
        None => format!("cpu: {}", DeviceError::NoAdapter { wanted: "GPU".into() }),
    }
}
