//! What a device allows, known before anything is allocated: bytes of a binding, of a buffer, of all together.
//!
//! It knows no tensors and allocates nothing.

use super::error::DeviceError;
use serde::Serialize;

/// What a device allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Most bytes of one binding.
    pub binding_bytes_max: u64,
    /// Most bytes of one buffer.
    pub buffer_bytes_max: u64,
    /// Most bytes of all buffers together, where a limit is known.
    pub memory_bytes_max: Option<u64>,
    /// Bytes that the device takes for itself when it is opened.
    pub own_bytes: u64,
}

impl Limits {
    /// Refuses `needed` bytes in all for `what` where they are known to be too many; `advice` says what to lower.
    pub fn check_room(
        &self,
        what: &'static str,
        needed: u64,
        advice: &'static str,
    ) -> Result<(), DeviceError> {
        match self.memory_bytes_max {
            Some(allowed) if needed > allowed => {
                Err(DeviceError::NoRoom { what, needed, allowed, advice })
            }
            _ => Ok(()),
        }
    }
}
