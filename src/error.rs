//! Every layer's error, wrapped: what the faces show to a person as one line (what, where, what to do).
//!
//! Each layer has an enum of its own that knows its shapes, names and offsets; this one only wraps them, so that
//! `?` carries an error upwards and nothing is turned into a string before it reaches a face.

/// Any error of the crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Of a device.
    #[error(transparent)]
    Device(#[from] crate::device::DeviceError),
}

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;
