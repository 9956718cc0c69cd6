//! Turns a recording into submits: params into the arena, dispatches into one compute pass, the queue last.
//!
//! A submit ends when the arena is full or when its estimated work reaches about 100 ms of a small GPU, so that
//! no driver's watchdog takes it for a hang. The arena is written once a submit; the queue keeps the order.

use super::super::error::DeviceError;
use super::super::recording::{Command, Recording};
use super::super::{Storage, View};
use super::arena::{SLOT, SLOTS};
use super::context::GpuDevice;

/// Floating-point operations of one submit: 100 ms at 200 GFLOP/s.
const FLOPS_MAX: u64 = 20_000_000_000;

impl GpuDevice {
    /// Runs a recording; returns how many submits it took.
    pub(in crate::device) fn submit(&self, recording: &Recording) -> Result<u64, DeviceError> {
        self.submit_all(recording, None)
    }

    /// Runs a recording, then copies `view` to the host in the same submit; counts the submits in `submits`.
    pub(in crate::device) async fn submit_and_read(
        &self,
        recording: &Recording,
        view: &View,
        submits: impl FnOnce(u64),
    ) -> Result<Vec<u8>, DeviceError> {
        let staging = self.staging(view.bytes);
        submits(self.submit_all(recording, Some((view, &staging)))?);
        self.mapped(&staging).await
    }

    fn submit_all(
        &self,
        recording: &Recording,
        read: Option<(&View, &wgpu::Buffer)>,
    ) -> Result<u64, DeviceError> {
        self.check_fault()?;
        let freed = std::mem::take(&mut *self.freed.borrow_mut());
        if !freed.is_empty() {
            self.pipelines.borrow_mut().forget(&freed);
        }
        let mut submits = 0;
        let mut rest = recording.commands();
        while !rest.is_empty() || (submits == 0 && read.is_some()) {
            let (batch, after) = rest.split_at(batch_len(rest));
            submit(self, batch, read.filter(|_| after.is_empty()))?;
            submits += 1;
            rest = after;
        }
        self.check_fault()?;
        Ok(submits)
    }
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

fn submit(
    gpu: &GpuDevice,
    batch: &[Command],
    read: Option<(&View, &wgpu::Buffer)>,
) -> Result<(), DeviceError> {
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
    gpu.arena.write(&gpu.queue, params);
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
    if let Some((view, staging)) = read {
        encoder.copy_buffer_to_buffer(raw(view)?, view.offset, staging, 0, view.bytes);
    }
    gpu.queue.submit([encoder.finish()]);
    Ok(())
}

fn raw(view: &View) -> Result<&wgpu::Buffer, DeviceError> {
    match view.buffer.storage() {
        Storage::Gpu(storage) => Ok(&storage.raw),
        Storage::Cpu(_) | Storage::Counted => {
            Err(DeviceError::ForeignBuffer { buffer: view.buffer.label().into() })
        }
    }
}
