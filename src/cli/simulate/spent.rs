//! What a cycle takes of the machine: bytes on the disk, memory (for its seconds see `cli::phases`).
//!
//! Nothing here has a part in what is learned. Invariant: what the system does not tell is 0, never a guess.

use crate::error::Error;
use std::fs;
use std::path::Path;

/// Bytes of all files below a folder; 0 if there is none.
pub fn folder_bytes(folder: &Path) -> Result<u64, Error> {
    let mut bytes = 0;
    let Ok(entries) = fs::read_dir(folder) else { return Ok(0) };
    for entry in entries {
        let path = entry.map_err(|error| Error::file(folder, &error))?.path();
        bytes += if path.is_dir() {
            folder_bytes(&path)?
        } else {
            // SQLite's side files come and go.
            fs::metadata(&path).map_or(0, |data| data.len())
        };
    }
    Ok(bytes)
}

/// The most memory that this process ever had in use, bytes, where Linux says it; else 0.
pub fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
