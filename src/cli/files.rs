//! Files that are whole or not there: written aside, made durable, then renamed.
//!
//! It knows nothing of what they hold. Invariant: a file gets its name when it is whole and on the disk, and one that is
//! already there is never touched by a command that makes a new one.

use crate::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Stops where there is something under a new file's name.
pub fn refuse_existing(output: &Path) -> Result<(), Error> {
    match output.exists() {
        true => Err(Error::Misuse(format!("{} exists; choose another name", output.display()))),
        false => Ok(()),
    }
}

/// `OUT.part` beside the output, so that the rename stays within a file system.
pub fn part_path(output: &Path) -> Result<PathBuf, Error> {
    let Some(name) = output.file_name() else {
        return Err(Error::Misuse(format!("{} names no file", output.display())));
    };
    let mut name = name.to_os_string();
    name.push(".part");
    Ok(output.with_file_name(name))
}

/// Makes a file's new name durable: the name belongs to its folder.
pub fn sync_folder_of(output: &Path) -> Result<(), Error> {
    // Only Unix opens folders; elsewhere the rename itself is as durable as it gets.
    if cfg!(unix) {
        let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| Error::file(folder, &error))?;
    }
    Ok(())
}

/// Writes a new file from memory.
pub fn write_new(output: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_with(output, bytes, File::options().write(true).create_new(true))
}

/// The same, for a file that only its owner may read (where the system knows owners).
pub fn write_new_private(output: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    write_with(output, bytes, &options)
}

fn write_with(output: &Path, bytes: &[u8], options: &OpenOptions) -> Result<(), Error> {
    refuse_existing(output)?;
    let part = part_path(output)?;
    let mut file = options.open(&part).map_err(|error| Error::file(&part, &error))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let renamed = written.and_then(|()| fs::rename(&part, output));
    renamed.map_err(|error| {
        // The first error is the one to tell; a part that stays behind is refused by name next time.
        fs::remove_file(&part).ok();
        Error::file(output, &error)
    })?;
    sync_folder_of(output)
}
