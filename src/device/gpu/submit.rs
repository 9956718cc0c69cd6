//! Turns a recording into submits: params into the arena, dispatches into one compute pass, the queue last.
//!
//! A submit ends when the arena is full or when its estimated work reaches about 100 ms of a small GPU, so that
//! no driver's watchdog takes it for a hang. The arena is written once a submit; the queue keeps the order.

use super::super::error::DeviceError;
use super::super::recording::{Command, Recording};
use super::super::{Storage, View};
use super::context::GpuDevice;

/// Bytes between two slots of the arena: WebGPU's alignment of dynamic offsets.
const SLOT: usize = 256;
/// Slots of the arena: the most dispatches of one submit.
const SLOTS: usize = 2048;
/// Floating-point operations of one submit: 100 ms at 200 GFLOP/s.
const FLOPS_MAX: u64 = 20_000_000_000;

/// The uniform buffer of all params.
pub struct Arena {
    buffer: wgpu::Buffer,
}

impl Arena {
    pub fn new(device: &wgpu::Device) -> Arena {
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("params arena"),
            size: (SLOT * SLOTS) as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Arena { buffer }
    }
}

/// Runs a recording; returns how many submits it took.
pub fn run(gpu: &GpuDevice, recording: &Recording) -> Result<u64, DeviceError> {
    let mut submits = 0;
    let mut rest = recording.commands();
    while !rest.is_empty() {
        let (batch, after) = rest.split_at(batch_len(rest));
        submit(gpu, batch)?;
        submits += 1;
        rest = after;
    }
    Ok(submits)
}

fn batch_len(commands: &[Command]) -> usize {
    let mut slots = 0;
    let mut flops = 0;
    for (i, command) in commands.iter().enumerate() {
        if let Command::Dispatch(dispatch) = command {
            slots += 1;
            flops += dispatch.flops;
            let full = slots > SLOTS || flops > FLOPS_MAX;
            if full && i > 0 {
                return i;
            }
        }
    }
    commands.len()
}

fn submit(gpu: &GpuDevice, batch: &[Command]) -> Result<(), DeviceError> {
    let mut params: Vec<u8> = Vec::new();
    let mut pipelines = gpu.pipelines.borrow_mut();
    // Pipelines and groups are resolved before the pass opens: a pass borrows its encoder.
    let mut steps = Vec::with_capacity(batch.len());
    for command in batch {
        let Command::Dispatch(dispatch) = command else {
            steps.push(None);
            continue;
        };
        let offset = params.len();
        params.extend_from_slice(&dispatch.params);
        params.resize(offset + SLOT, 0);
        let pipeline = pipelines.pipeline(&gpu.device, dispatch)?;
        let group = pipelines.bind_group(&gpu.device, &gpu.arena.buffer, dispatch)?;
        steps.push(Some((pipeline, group, offset as u32)));
    }
    if !params.is_empty() {
        gpu.queue.write_buffer(&gpu.arena.buffer, 0, &params);
    }
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    let mut pass: Option<wgpu::ComputePass<'static>> = None;
    for (command, step) in batch.iter().zip(&steps) {
        match (command, step) {
            (Command::Dispatch(dispatch), Some((pipeline, group, offset))) => {
                let pass = pass.get_or_insert_with(|| {
                    encoder.begin_compute_pass(&Default::default()).forget_lifetime()
                });
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, group.as_ref(), &[*offset]);
                let [x, y, z] = dispatch.groups;
                pass.dispatch_workgroups(x, y, z);
            }
            (Command::Copy { from, to }, _) => {
                pass = None;
                let (source, target) = (raw(from)?, raw(to)?);
                encoder.copy_buffer_to_buffer(source, from.offset, target, to.offset, from.bytes);
            }
            (Command::Clear(view), _) => {
                pass = None;
                encoder.clear_buffer(raw(view)?, view.offset, Some(view.bytes));
            }
            (Command::Dispatch(_), None) => unreachable!("each dispatch has its step"),
        }
    }
    drop(pass);
    gpu.queue.submit([encoder.finish()]);
    Ok(())
}

fn raw(view: &View) -> Result<&wgpu::Buffer, DeviceError> {
    match view.buffer.storage() {
        Storage::Gpu(storage) => Ok(&storage.raw),
        Storage::Cpu(_) => Err(DeviceError::ForeignBuffer { buffer: view.buffer.label().into() }),
    }
}
