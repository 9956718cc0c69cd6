//! Where a file's bytes come from: memory, a file; a browser's picked file and OPFS implement the
//! trait elsewhere.
//!
//! Reading is async since a browser reads no other way. It knows nothing of what the bytes mean.
//! Invariant: `read_at` fills the whole buffer or fails.

use super::error::FormatError;
use async_trait::async_trait;

/// A file that can be read anywhere.
#[async_trait(?Send)]
pub trait Source {
    /// The file's length in bytes.
    fn len(&self) -> u64;

    /// The file's name for messages.
    fn name(&self) -> String;

    /// Fills `buf` with the bytes from `offset` on.
    async fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), FormatError>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A file in memory, the source's own or borrowed.
#[derive(Debug, Clone)]
pub struct BytesSource<B = Vec<u8>> {
    name: String,
    bytes: B,
}

impl<B: AsRef<[u8]>> BytesSource<B> {
    /// `bytes` as a file called `name`.
    pub fn new(name: impl Into<String>, bytes: B) -> Self {
        Self { name: name.into(), bytes }
    }
}

#[async_trait(?Send)]
impl<B: AsRef<[u8]>> Source for BytesSource<B> {
    fn len(&self) -> u64 {
        self.bytes.as_ref().len() as u64
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    async fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), FormatError> {
        let start = usize::try_from(offset).ok();
        let part = start.and_then(|start| self.bytes.as_ref().get(start..)?.get(..buf.len()));
        let Some(part) = part else {
            let reason = format!("it has {} bytes", self.bytes.as_ref().len());
            let (name, bytes) = (self.name.clone(), buf.len() as u64);
            return Err(FormatError::Read { name, offset, bytes, reason });
        };
        buf.copy_from_slice(part);
        Ok(())
    }
}

#[cfg(not(target_arch = "wasm32"))]
pub use file::FileSource;

#[cfg(not(target_arch = "wasm32"))]
mod file {
    use super::{FormatError, Source, async_trait};
    use std::fs::File;
    use std::io::{Read, Seek, SeekFrom};
    use std::path::{Path, PathBuf};

    /// A file of the file system.
    #[derive(Debug)]
    pub struct FileSource {
        path: PathBuf,
        file: File,
        len: u64,
    }

    impl FileSource {
        /// Opens the file at `path`.
        pub fn open(path: &Path) -> Result<FileSource, FormatError> {
            let failed = |error: std::io::Error| FormatError::Read {
                name: path.display().to_string(),
                offset: 0,
                bytes: 0,
                reason: error.to_string(),
            };
            let file = File::open(path).map_err(failed)?;
            let len = file.metadata().map_err(failed)?.len();
            Ok(FileSource { path: path.to_path_buf(), file, len })
        }
    }

    #[async_trait(?Send)]
    impl Source for FileSource {
        fn len(&self) -> u64 {
            self.len
        }

        fn name(&self) -> String {
            self.path.display().to_string()
        }

        async fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), FormatError> {
            let read = self.file.seek(SeekFrom::Start(offset));
            read.and_then(|_| self.file.read_exact(buf)).map_err(|error| FormatError::Read {
                name: self.name(),
                offset,
                bytes: buf.len() as u64,
                reason: error.to_string(),
            })
        }
    }
}
