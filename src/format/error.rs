//! What can be wrong with a file or a text from outside, said so that a person knows where to look.
//!
//! Invariant: whatever concerns a file names the file's part (a key, a tensor, a line) and, for
//! binary files, the byte.

/// Why a file or a text was not understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The source of bytes failed.
    #[error("{name}: cannot read {bytes} bytes at byte {offset}: {reason}")]
    Read {
        /// The file.
        name: String,
        /// First byte wanted.
        offset: u64,
        /// Bytes wanted.
        bytes: u64,
        /// What the source said.
        reason: String,
    },
    /// The file is shorter than it says.
    #[error(
        "{name} ends at byte {len}, but {what} reaches to byte {needed}; \
         was the download cut short?"
    )]
    CutShort {
        /// The file.
        name: String,
        /// Its length in bytes.
        len: u64,
        /// The part that does not fit: a key, a tensor.
        what: String,
        /// The end of that part, in bytes.
        needed: u64,
    },
    /// A part of the file contradicts its format.
    #[error("{name}: {what} at byte {offset}: {reason}")]
    Invalid {
        /// The file.
        name: String,
        /// The part: a key, a tensor.
        what: String,
        /// Where the part lies.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A metadata key is not there.
    #[error("the file lacks the metadata key `{key}`; it is no model that this program can run")]
    MissingKey {
        /// The key.
        key: String,
    },
    /// A metadata key has another type or range than it must.
    #[error("the metadata key `{key}` is {found}, not {wanted}")]
    WrongType {
        /// The key.
        key: String,
        /// What it must be.
        wanted: &'static str,
        /// What it is.
        found: String,
    },
    /// A tensor is not there.
    #[error("the file lacks the tensor `{tensor}`")]
    MissingTensor {
        /// The tensor's name.
        tensor: String,
    },
    /// A kind of thing that this program does not read.
    #[error("{what} `{found}` is not supported; supported: {supported}")]
    Unsupported {
        /// What kind of thing.
        what: &'static str,
        /// What the file has.
        found: String,
        /// What would do.
        supported: &'static str,
    },
    /// The vocabulary is no consistent tokenizer.
    #[error("the file's tokenizer cannot be used: {reason}")]
    Tokenizer {
        /// What is wrong.
        reason: String,
    },
    /// The chat template failed.
    #[error("the model's chat template failed: {reason}")]
    Template {
        /// What the template engine or the template itself said.
        reason: String,
    },
    /// An adapter cannot be read.
    #[error("the adapter cannot be read: {reason}")]
    Adapter {
        /// What is wrong and, where there is one, the way out.
        reason: String,
    },
    /// A line of a file of lessons cannot be read.
    #[error("{name}, line {line}: {reason}")]
    Lesson {
        /// The file.
        name: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong and what to do.
        reason: String,
    },
}
