//! What a cycle takes of the machine: seconds by phase, bytes on the disk, memory.
//!
//! Nothing here has a part in what is learned. Invariant: the phases' seconds add up to the time from the first event to
//! the last.

use crate::error::Error;
use crate::learn::report::{Event, Phase};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

/// Seconds of each phase, from a cycle's events.
#[derive(Debug, Default)]
pub struct Phases {
    seconds: BTreeMap<String, f64>,
    current: Option<(Phase, Instant)>,
}

impl Phases {
    /// Hears an event; the time since the one before goes to the phase that it was in.
    pub fn hear(&mut self, event: &Event) {
        let now = Instant::now();
        let phase = match (event, self.current) {
            (Event::Phase { phase, .. }, _) => *phase,
            (_, Some((phase, _))) => phase,
            (_, None) => Phase::Prepare,
        };
        if let Some((before, at)) = self.current {
            let name = format!("{before:?}").to_lowercase();
            *self.seconds.entry(name).or_default() += (now - at).as_secs_f64();
        }
        self.current = Some((phase, now));
    }

    /// The seconds.
    pub fn seconds(self) -> BTreeMap<String, f64> {
        self.seconds
    }
}

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
