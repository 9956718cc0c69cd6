//! Every layer's error, wrapped: what the faces show to a person as one line (what, where, what to do).
//!
//! Each layer has an enum of its own that knows its shapes, names and offsets; this one only wraps them, so that
//! `?` carries an error upwards and nothing is turned into a string before it reaches a face.

use std::path::Path;

/// Any error of the crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Of a device.
    #[error(transparent)]
    Device(#[from] crate::device::DeviceError),
    /// Of a file's format.
    #[error(transparent)]
    Format(#[from] crate::format::error::FormatError),
    /// Of a model.
    #[error(transparent)]
    Model(#[from] crate::model::ModelError),
    /// Of training.
    #[error(transparent)]
    Train(#[from] crate::train::TrainError),
    /// Of the learning loop.
    #[error(transparent)]
    Learn(#[from] crate::learn::learner::LearnError),
    /// Of a store.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The user asked for something that cannot be.
    #[error("{0}")]
    Misuse(String),
    /// A file that cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(String),
}

impl Error {
    /// A file that failed.
    pub fn file(path: &Path, reason: &dyn std::fmt::Display) -> Error {
        Error::File { path: path.display().to_string(), reason: reason.to_string() }
    }
}

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;
