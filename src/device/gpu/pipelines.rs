//! Caches of what is costly to make: compute pipelines by key, bind groups by kernel and views.
//!
//! A bind group keeps its buffers alive, so those of freed buffers are dropped before the next submit.

use super::super::call::Access;
use super::super::error::DeviceError;
use super::super::kernel::{KernelDef, PipelineKey};
use super::super::recording::Dispatch;
use super::super::{Storage, shader};
use std::collections::HashMap;
use std::rc::Rc;

/// A view in a cache key: buffer id, offset, bytes.
type ViewKey = (u64, u64, u64);

#[derive(Default)]
pub struct Pipelines {
    layouts: HashMap<&'static str, wgpu::BindGroupLayout>,
    pipelines: HashMap<PipelineKey, wgpu::ComputePipeline>,
    bind_groups: HashMap<(&'static str, Vec<ViewKey>), Rc<wgpu::BindGroup>>,
}

impl Pipelines {
    /// The pipeline of a dispatch, compiled at its first use.
    pub fn pipeline(
        &mut self,
        device: &wgpu::Device,
        dispatch: &Dispatch,
    ) -> Result<wgpu::ComputePipeline, DeviceError> {
        if let Some(pipeline) = self.pipelines.get(&dispatch.key) {
            return Ok(pipeline.clone());
        }
        let kernel = dispatch.kernel;
        let source = shader::resolve(kernel.wgsl, &dispatch.key, shader::Dialect::HERE)
            .map_err(|reason| DeviceError::Dispatch { kernel: kernel.name, reason })?;
        let label = format!("{:?}", dispatch.key);
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(&label),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let layout = self.layout(device, kernel);
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(kernel.name),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let constants: Vec<(&str, f64)> =
            dispatch.key.overrides.iter().map(|(name, value)| (*name, f64::from(*value))).collect();
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                ..Default::default()
            },
            cache: None,
        });
        self.pipelines.insert(dispatch.key.clone(), pipeline.clone());
        Ok(pipeline)
    }

    /// The bind group of a dispatch: the arena at binding 0, then its views.
    pub fn bind_group(
        &mut self,
        device: &wgpu::Device,
        arena: &wgpu::Buffer,
        dispatch: &Dispatch,
    ) -> Result<Rc<wgpu::BindGroup>, DeviceError> {
        let views = dispatch.views.iter();
        let key: Vec<ViewKey> = views.map(|v| (v.buffer.id(), v.offset, v.bytes)).collect();
        let key = (dispatch.kernel.name, key);
        if let Some(group) = self.bind_groups.get(&key) {
            return Ok(Rc::clone(group));
        }
        let layout = self.layout(device, dispatch.kernel);
        let params = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: arena,
            offset: 0,
            size: wgpu::BufferSize::new(dispatch.kernel.params_bytes as u64),
        });
        let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: params }];
        for (binding, view) in (1..).zip(&dispatch.views) {
            let Storage::Gpu(storage) = view.buffer.storage() else {
                return Err(DeviceError::ForeignBuffer { buffer: view.buffer.label().into() });
            };
            let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &storage.raw,
                offset: view.offset,
                size: wgpu::BufferSize::new(view.bytes),
            });
            entries.push(wgpu::BindGroupEntry { binding, resource });
        }
        let group = Rc::new(device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(dispatch.kernel.name),
            layout: &layout,
            entries: &entries,
        }));
        self.bind_groups.insert(key, Rc::clone(&group));
        Ok(group)
    }

    /// Drops the bind groups of freed buffers.
    pub fn forget(&mut self, freed: &[u64]) {
        self.bind_groups.retain(|(_, views), _| !views.iter().any(|(id, ..)| freed.contains(id)));
    }

    fn layout(&mut self, device: &wgpu::Device, kernel: &KernelDef) -> wgpu::BindGroupLayout {
        if let Some(layout) = self.layouts.get(kernel.name) {
            return layout.clone();
        }
        let entry = |binding, ty, has_dynamic_offset| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: None },
            count: None,
        };
        let mut entries = vec![entry(0, wgpu::BufferBindingType::Uniform, true)];
        for (binding, access) in (1..).zip(kernel.bindings) {
            let read_only = *access == Access::Read;
            entries.push(entry(binding, wgpu::BufferBindingType::Storage { read_only }, false));
        }
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(kernel.name),
            entries: &entries,
        });
        self.layouts.insert(kernel.name, layout.clone());
        layout
    }
}
