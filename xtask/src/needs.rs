//! What a stage needs of the machine: a Vulkan driver, a browser, the WASM target. Found, or told in one line.
//!
//! It installs nothing but rustup's own parts. Invariant: a need that is not met is an error; no stage is skipped
//! for it, since a test that does not run proves nothing.

use std::env;
use std::path::{Path, PathBuf};

use crate::shell::{Outcome, program};

const DRIVER_FOLDERS: [&str; 3] =
    ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"];
const BROWSERS: [&str; 4] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const RUSTUP_HINT: &str = "install Rust from https://rustup.rs (it brings the WASM target)";

/// The Vulkan driver that tests use: a value for `VK_DRIVER_FILES`, or `None` to leave the choice to the loader.
///
/// The user's own `VK_DRIVER_FILES` comes first; `APPRENTICE_GPU=hardware` leaves the loader alone; else it is
/// Mesa's software driver, so that a test run means the same on every machine.
pub fn vulkan_driver() -> Outcome<Option<PathBuf>> {
    if let Some(files) = env::var_os("VK_DRIVER_FILES") {
        return match env::split_paths(&files).any(|file| file.is_file()) {
            true => Ok(None),
            false => Err("VK_DRIVER_FILES names no file that exists; unset or correct it".into()),
        };
    }
    if env::var("APPRENTICE_GPU").is_ok_and(|wanted| wanted == "hardware") {
        return Ok(None);
    }
    let found = DRIVER_FOLDERS.iter().find_map(|folder| software_driver(Path::new(folder)));
    let missing = "no software Vulkan driver; install Mesa's (Debian: apt-get install \
                   mesa-vulkan-drivers) or set APPRENTICE_GPU=hardware";
    found.map(Some).ok_or_else(|| missing.into())
}

/// The browser that the page's tests run.
pub fn browser() -> Outcome<PathBuf> {
    if let Some(path) = env::var_os("CHROMIUM").map(PathBuf::from) {
        let missing = || format!("CHROMIUM names {}, which is no file", path.display());
        return path.is_file().then(|| path.clone()).ok_or_else(missing);
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    let found = BROWSERS.iter().find_map(|name| {
        env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
    });
    found.ok_or_else(|| "no Chromium; install it (Debian: apt-get install chromium)".into())
}

/// Makes sure of Rust's wasm32 target, which rustup may be set not to install by itself.
pub fn wasm_target() -> Outcome {
    let sysroot = program("rustc", &["--print", "sysroot"], RUSTUP_HINT).read()?;
    let library = Path::new(sysroot.trim()).join("lib/rustlib/wasm32-unknown-unknown/lib");
    if library.is_dir() {
        return Ok(());
    }
    program("rustup", &["target", "add", "wasm32-unknown-unknown"], RUSTUP_HINT).run_to_stderr()
}

/// Mesa's `lvp_icd.*.json` in a folder of driver manifests.
fn software_driver(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let is_lavapipe = |name: &str| name.starts_with("lvp_icd") && name.ends_with(".json");
    // Several architectures may lie side by side; this machine's own goes first.
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_lavapipe))
        .collect();
    found.sort_by_key(|path| !path.to_string_lossy().contains(env::consts::ARCH));
    found.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lavapipe_is_told_from_other_drivers() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(software_driver(dir.path()), None);
        assert_eq!(software_driver(&dir.path().join("missing")), None);
        for name in ["radeon_icd.x86_64.json", "lvp_icd.other.json", "lvp_icd.json.bak"] {
            std::fs::write(dir.path().join(name), "{}").unwrap();
        }
        assert_eq!(software_driver(dir.path()), Some(dir.path().join("lvp_icd.other.json")));
        let own = dir.path().join(format!("lvp_icd.{}.json", env::consts::ARCH));
        std::fs::write(&own, "{}").unwrap();
        assert_eq!(software_driver(dir.path()), Some(own));
    }
}
