//! A list of commands for a device: kernels with their params and views, copies and clears.
//!
//! Recording checks what both devices rely on (bindings fit the kernel's table, nothing is written twice in one
//! dispatch, groups are within limits); running it is the device's business.

use super::buffer::View;
use super::call::Access;
use super::error::DeviceError;
use super::kernel::{KernelDef, PipelineKey};
use bytemuck::Pod;

/// Most workgroups in one dimension (WebGPU's default limit).
pub const GROUPS_MAX: u32 = 65_535;

/// One dispatch of a kernel.
#[derive(Clone)]
pub struct Dispatch {
    /// The kernel.
    pub kernel: &'static KernelDef,
    /// Its pipeline.
    pub key: PipelineKey,
    /// The params' bytes.
    pub params: Vec<u8>,
    /// Views for bindings 1.. .
    pub views: Vec<View>,
    /// Workgroups.
    pub groups: [u32; 3],
    /// Floating-point operations, as the wrapper estimates them: bounds the length of a submit.
    pub flops: u64,
}

/// One command.
#[derive(Clone)]
pub enum Command {
    /// Run a kernel.
    Dispatch(Box<Dispatch>),
    /// Copy bytes between two buffers of equal view sizes.
    Copy {
        /// From here.
        from: View,
        /// To here.
        to: View,
    },
    /// Fill with zero bits.
    Clear(View),
}

/// What a wrapper says of a dispatch beside its params and views.
#[derive(Debug, Clone, Default)]
pub struct Shape<'a> {
    /// Import links.
    pub links: &'a [(&'static str, &'static str)],
    /// Pipeline constants.
    pub overrides: &'a [(&'static str, u32)],
    /// Workgroups.
    pub groups: [u32; 3],
    /// Floating-point operations.
    pub flops: u64,
}

/// Commands in order.
#[derive(Clone, Default)]
pub struct Recording {
    commands: Vec<Command>,
}

impl Recording {
    /// An empty recording.
    pub fn new() -> Recording {
        Recording::default()
    }

    /// Appends a dispatch. Views bind in the kernel's order after its params.
    pub fn dispatch<P: Pod>(
        &mut self,
        kernel: &'static KernelDef,
        params: &P,
        views: &[View],
        shape: &Shape<'_>,
    ) -> Result<(), DeviceError> {
        let dispatch = Dispatch {
            kernel,
            key: PipelineKey {
                kernel: kernel.name,
                links: shape.links.to_vec(),
                overrides: shape.overrides.to_vec(),
            },
            params: bytemuck::bytes_of(params).to_vec(),
            views: views.to_vec(),
            groups: shape.groups,
            flops: shape.flops,
        };
        check(&dispatch).map_err(|reason| DeviceError::Dispatch { kernel: kernel.name, reason })?;
        self.commands.push(Command::Dispatch(Box::new(dispatch)));
        Ok(())
    }

    /// Appends a copy.
    pub fn copy(&mut self, from: &View, to: &View) {
        assert_eq!(from.bytes, to.bytes, "copy {} to {}", from.buffer.label(), to.buffer.label());
        assert!(from.buffer.id() != to.buffer.id(), "copy within one buffer");
        self.commands.push(Command::Copy { from: from.clone(), to: to.clone() });
    }

    /// Appends a fill with zeros.
    pub fn clear(&mut self, view: &View) {
        self.commands.push(Command::Clear(view.clone()));
    }

    /// The commands.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// How many dispatches it holds.
    pub fn dispatches(&self) -> u64 {
        self.commands.iter().filter(|c| matches!(c, Command::Dispatch(_))).count() as u64
    }

    /// Bytes of all bindings of all dispatches: what kernels may touch at most.
    pub fn bytes_bound(&self) -> u64 {
        let views = self.commands.iter().filter_map(|command| match command {
            Command::Dispatch(dispatch) => Some(dispatch.views.iter()),
            _ => None,
        });
        views.flatten().map(|view| view.bytes).sum()
    }
}

fn check(dispatch: &Dispatch) -> Result<(), String> {
    let kernel = dispatch.kernel;
    if dispatch.params.len() != kernel.params_bytes || !kernel.params_bytes.is_multiple_of(16) {
        return Err(format!(
            "{} bytes of params, its table says {}",
            dispatch.params.len(),
            kernel.params_bytes
        ));
    }
    if dispatch.views.len() != kernel.bindings.len() {
        return Err(format!(
            "{} views for {} bindings",
            dispatch.views.len(),
            kernel.bindings.len()
        ));
    }
    let overrides = dispatch.key.overrides.iter().map(|(name, _)| name);
    if !overrides.eq(kernel.overrides) {
        return Err(format!("overrides {:?}, its table says {:?}", dispatch.key, kernel.overrides));
    }
    if !dispatch.key.links.iter().map(|(name, _)| name).eq(kernel.links) {
        return Err(format!("links {:?}, its table says {:?}", dispatch.key, kernel.links));
    }
    if dispatch.groups.iter().any(|&n| n == 0 || n > GROUPS_MAX) {
        return Err(format!("{:?} workgroups", dispatch.groups));
    }
    for (i, (view, access)) in dispatch.views.iter().zip(kernel.bindings).enumerate() {
        if !view.offset.is_multiple_of(256) {
            return Err(format!("`{}` is bound at byte {}", view.buffer.label(), view.offset));
        }
        if *access == Access::Write {
            let clash = dispatch.views.iter().enumerate().find(|(j, other)| {
                *j != i
                    && (view.overlaps(other)
                        || (view.buffer.id() == other.buffer.id()
                            && kernel.bindings[*j] == Access::Read))
            });
            if let Some((j, _)) = clash {
                return Err(format!("`{}` is bound at {i} and at {j}", view.buffer.label()));
            }
        }
    }
    Ok(())
}
