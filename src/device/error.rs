//! What can go wrong with a device, as errors that reach the caller: nothing here panics on a lost GPU.

/// An error of a device.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// No adapter of the kind asked for.
    #[error(
        "no {wanted} was found; install a Vulkan driver, open the page in a browser with WebGPU, or choose --device cpu"
    )]
    NoAdapter {
        /// What was asked for.
        wanted: String,
    },
    /// The adapter refused to give a device.
    #[error("the adapter `{adapter}` gave no device: {reason}")]
    NoDevice {
        /// The adapter.
        adapter: String,
        /// Its reason.
        reason: String,
    },
    /// The memory is exhausted.
    #[error(
        "the device has no room for {bytes} bytes more; choose a smaller model, context or batch"
    )]
    OutOfMemory {
        /// Bytes asked for.
        bytes: u64,
    },
    /// What is asked for is known not to fit, before any of it is allocated.
    #[error(
        "{what} needs {} MiB of the device's memory, {} MiB are allowed; {advice}",
        needed.div_ceil(1 << 20), allowed >> 20
    )]
    NoRoom {
        /// What was asked for.
        what: &'static str,
        /// Bytes that it needs, with what is there already.
        needed: u64,
        /// Bytes that are allowed.
        allowed: u64,
        /// What to lower.
        advice: &'static str,
    },
    /// A buffer is larger than any that this device gives.
    #[error(
        "`{buffer}` takes {} MiB in one piece, this device gives {} MiB at most; lower the context, the rank or the tokens of a pass",
        bytes.div_ceil(1 << 20), max >> 20
    )]
    BufferSize {
        /// The buffer.
        buffer: String,
        /// Its bytes.
        bytes: u64,
        /// Most bytes of a buffer.
        max: u64,
    },
    /// A device that only counts memory was asked to run something.
    #[error("this device only counts memory and runs nothing")]
    CountsOnly,
    /// The device is gone (driver reset, sleep, or `destroy()`).
    #[error("the GPU was lost ({reason}); load the model again")]
    Lost {
        /// What the driver said.
        reason: String,
    },
    /// The driver refused a command: a defect of ours.
    #[error("the GPU refused a command: {reason}")]
    Validation {
        /// What it said.
        reason: String,
    },
    /// A kernel was called with bindings that do not fit its definition: a defect of ours.
    #[error("kernel `{kernel}`: {reason}")]
    Dispatch {
        /// The kernel.
        kernel: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// A write or read outside a buffer, or not on a 4-byte border.
    #[error("buffer `{buffer}` of {size} bytes: {bytes} bytes at {offset} do not fit")]
    Range {
        /// The buffer.
        buffer: String,
        /// First byte.
        offset: u64,
        /// Bytes.
        bytes: u64,
        /// The buffer's size.
        size: u64,
    },
    /// A buffer of one device was given to another.
    #[error("buffer `{buffer}` belongs to another device")]
    ForeignBuffer {
        /// The buffer.
        buffer: String,
    },
}
