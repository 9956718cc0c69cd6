//! Reads little-endian numbers and strings from the first part of a file, of which more may be
//! fetched.
//!
//! It knows the file's whole length, so it tells "fetch more" from "the file is too short" without
//! reading on. It knows nothing of GGUF's structure. Invariant: nothing is allocated for a length
//! that the file cannot hold.

use super::error::FormatError;

/// Why reading stopped.
#[derive(Debug)]
pub enum Stop {
    /// The file goes on: fetch at least its first `0` bytes and start over.
    More(u64),
    /// The file is wrong.
    Bad(FormatError),
}

/// A place in the first part of a file.
pub struct Cursor<'a> {
    name: &'a str,
    head: &'a [u8],
    file_len: u64,
    pos: usize,
    /// What is being read, for messages: a key, a tensor.
    pub what: String,
}

impl<'a> Cursor<'a> {
    /// The start of the file `name` of `file_len` bytes, of which `head` has been fetched.
    pub fn new(name: &'a str, head: &'a [u8], file_len: u64) -> Self {
        Self { name, head, file_len, pos: 0, what: "the header".into() }
    }

    /// Where the next byte lies.
    pub fn offset(&self) -> u64 {
        self.pos as u64
    }

    /// The file's name.
    pub fn name(&self) -> &str {
        self.name
    }

    /// Says that what is being read is wrong, for the part that started at byte `offset`.
    pub fn bad(&self, offset: u64, reason: impl Into<String>) -> Stop {
        let (name, what) = (self.name.to_string(), self.what.clone());
        Stop::Bad(FormatError::Invalid { name, what, offset, reason: reason.into() })
    }

    /// Stops with an error where the file does not have `count * size` bytes more.
    pub fn expect_room(&self, count: u64, size: u64) -> Result<(), Stop> {
        let needed = count.checked_mul(size).and_then(|bytes| bytes.checked_add(self.offset()));
        match needed {
            Some(needed) if needed <= self.file_len => Ok(()),
            needed => Err(Stop::Bad(FormatError::CutShort {
                name: self.name.to_string(),
                len: self.file_len,
                what: self.what.clone(),
                needed: needed.unwrap_or(u64::MAX),
            })),
        }
    }

    /// The next `len` bytes.
    pub fn bytes(&mut self, len: u64) -> Result<&'a [u8], Stop> {
        self.expect_room(len, 1)?;
        let end = self.offset() + len;
        if end > self.head.len() as u64 {
            return Err(Stop::More(end));
        }
        let bytes = &self.head[self.pos..end as usize];
        self.pos = end as usize;
        Ok(bytes)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        Ok(self.bytes(N as u64)?.try_into().expect("bytes gives as many as asked"))
    }

    /// The next number.
    pub fn u32(&mut self) -> Result<u32, Stop> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// The next number.
    pub fn u64(&mut self) -> Result<u64, Stop> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// The next string: its length in bytes (u64), then UTF-8.
    pub fn string(&mut self) -> Result<&'a str, Stop> {
        let start = self.offset();
        let len = self.u64()?;
        let bytes = self.bytes(len)?;
        std::str::from_utf8(bytes).map_err(|error| {
            let at = start + 8 + error.valid_up_to() as u64;
            self.bad(at, "a string is not UTF-8")
        })
    }
}
