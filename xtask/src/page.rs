//! Building the page: the engine as WebAssembly, its JavaScript glue, and the bundle that Vite makes of `www/`.
//!
//! It knows nothing of what the page shows. Invariant: after `build`, `www/dist` holds this working tree's page and
//! engine, never those of an earlier one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use wasm_bindgen_cli_support::Bindgen;

use crate::shell::{Outcome, cargo, program, root};
use crate::{licences, needs};

const TARGET: &str = "wasm32-unknown-unknown";
/// What to install where there is no Node.
pub const NODE_HINT: &str = "install Node with npm (Debian: apt-get install nodejs npm)";

/// Where the finished page lies.
pub fn dist() -> PathBuf {
    root().join("www/dist")
}

/// Builds the engine, then the page around it.
pub fn build() -> Outcome {
    build_engine()?;
    program("npm", &["run", "build"], NODE_HINT).dir(&www()?).run_to_stderr()
}

/// The page's sources, with the packages that they need.
pub fn www() -> Outcome<PathBuf> {
    let www = root().join("www");
    if packages_are_stale(&www) {
        let quiet = ["ci", "--no-audit", "--no-fund"];
        program("npm", &quiet, NODE_HINT).dir(&www).run_to_stderr()?;
    }
    Ok(www)
}

/// Builds the engine alone, into `www/public/engine`.
pub fn build_engine() -> Outcome {
    needs::wasm_target()?;
    cargo(&["build", "--lib", "--target", TARGET, "--profile", "web"]).run()?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), PathBuf::from);
    let wasm = root().join(target).join(TARGET).join("web/apprentice.wasm");
    let out = root().join("www/public/engine");
    let mut bindgen = Bindgen::new();
    bindgen.input_path(wasm).typescript(true).omit_default_module_path(false);
    let told = |e| format!("wasm-bindgen failed: {e:#}");
    bindgen.web(true).map_err(told)?.generate(&out).map_err(told)?;
    let bytes = fs::metadata(out.join("apprentice_bg.wasm")).map_or(0, |meta| meta.len());
    let licences = licences::text(TARGET)?;
    fs::write(out.join("LICENSES.txt"), licences).map_err(|e| format!("LICENSES.txt: {e}"))?;
    eprintln!("engine: apprentice_bg.wasm, {bytes} bytes");
    Ok(())
}

/// npm writes `.package-lock.json` at the end of an install: older than the lock file means not installed from it.
fn packages_are_stale(www: &Path) -> bool {
    let time = |path: PathBuf| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let installed: Option<SystemTime> = time(www.join("node_modules/.package-lock.json"));
    installed.is_none() || installed < time(www.join("package-lock.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_installed_when_missing_or_older_than_the_lock_file() {
        let dir = tempfile::tempdir().unwrap();
        let (lock, mark) = (dir.path().join("package-lock.json"), dir.path().join("node_modules"));
        fs::write(&lock, "{}").unwrap();
        assert!(packages_are_stale(dir.path()));
        fs::create_dir(&mark).unwrap();
        let mark = fs::File::create(mark.join(".package-lock.json")).unwrap();
        let written = fs::metadata(&lock).unwrap().modified().unwrap();
        mark.set_modified(written + std::time::Duration::from_secs(1)).unwrap();
        assert!(!packages_are_stale(dir.path()));
        mark.set_modified(written - std::time::Duration::from_secs(1)).unwrap();
        assert!(packages_are_stale(dir.path()));
    }
}
