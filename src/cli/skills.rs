//! Skills: a version written as one signed file, somebody else's read, and `apprentice adopt`, which lets the gate decide.
//!
//! The signing key lies in the home folder and never leaves it; it is made when something is signed for the first time.
//! Invariant: a skill for another base model, or by another signer than the one asked for, is refused before anything is
//! kept.

use super::{Common, context, files, moves, output};
use crate::error::Error;
use crate::format::skill::{MAGIC, Skill, public_key};
use crate::learn::exchange::Foreign;
use crate::learn::names::HEAD;
use crate::learn::report::{Event, LearnOptions};
use clap::Args;
use serde_json::json;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The signing key's name in the home folder.
const KEY_FILE: &str = "signing.key";

/// Arguments of `export` that concern a skill.
#[derive(Args)]
pub struct SkillArgs {
    /// Write a signed skill, one file: the adapter and the lessons that it was taught, for other people's `import`
    #[arg(long, conflicts_with_all = ["adapter", "format"])]
    signed: bool,
    /// The skill's name [default: the file's]
    #[arg(long, requires = "signed")]
    name: Option<String>,
    /// The secret key, 64 hex digits in a file [default: signing.key in the home folder, made if it is missing]
    #[arg(long, requires = "signed", value_name = "FILE")]
    key: Option<PathBuf>,
    /// Leave the lessons out: the skill answers everywhere then, and nobody can see whether it says them
    #[arg(long, requires = "signed")]
    without_lessons: bool,
}

/// Arguments of `adopt`.
#[derive(Args)]
pub struct AdoptArgs {
    /// The imported version
    version: String,
    /// Items of each suite, for a quick look [default: all]
    #[arg(long)]
    sample: Option<usize>,
    /// Other suites than the built-in ones: a folder with core.jsonl, language.jsonl, refusals.jsonl
    #[arg(long, value_name = "DIR")]
    suites: Option<PathBuf>,
}

impl SkillArgs {
    /// Whether a skill is wanted.
    pub fn wanted(&self) -> bool {
        self.signed
    }
}

/// Writes a version as a skill.
pub async fn export(
    common: &Common,
    args: &SkillArgs,
    version: Option<&str>,
    out: &Path,
) -> Result<(), Error> {
    files::refuse_existing(out)?;
    let learner = context::learner(common).await?;
    let stem = || out.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let name = args.name.clone().unwrap_or_else(stem);
    let skill = learner.skill(version.unwrap_or(HEAD), &name, !args.without_lessons).await?;
    let Some(skill) = skill else {
        return Err(Error::Misuse("the base model answers; there is no skill to export".into()));
    };
    let path = match &args.key {
        Some(path) => path.clone(),
        None => context::home(common)?.join(KEY_FILE),
    };
    let secret = match args.key.is_some() || path.exists() {
        true => read_key(&path)?,
        false => make_key(&path)?,
    };
    files::write_new(out, &skill.sign(&secret))?;
    let (lessons, signer) = (skill.manifest.lessons.len(), public_key(&secret));
    if common.json {
        return output::json(&json!({ "out": out, "lessons": lessons, "signer": signer }));
    }
    output::line(&format!("the skill {name:?} in {}, signed by {signer}", out.display()))?;
    match lessons {
        0 => Ok(()),
        n => output::line(&format!("it carries the text of {n} lessons: who has it can read them")),
    }
}

/// Whether a file is a skill.
pub fn is_skill(path: &Path) -> bool {
    let mut start = vec![0; MAGIC.len()];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == MAGIC
}

/// Reads a skill for a base model; `signer` is the public key that must have signed it, if the user knows it.
pub fn read(path: &Path, base_hash: &str, signer: Option<&str>) -> Result<Foreign, Error> {
    let bytes = fs::read(path).map_err(|error| Error::file(path, &error))?;
    let (skill, signed_by) = Skill::read(&path.display().to_string(), &bytes)?;
    if let Some(wanted) = signer.filter(|wanted| !wanted.eq_ignore_ascii_case(&signed_by)) {
        let text = format!("is signed by {signed_by}, not by {wanted}; nothing was imported");
        return Err(Error::Misuse(format!("{} {text}", path.display())));
    }
    let made_for = &skill.manifest.base_hash;
    if made_for != base_hash {
        let text = format!("was made for another base model (sha256 {made_for}); open that one");
        return Err(Error::Misuse(format!("{} {text}", path.display())));
    }
    Ok(Foreign::from_skill(&skill, &signed_by)?)
}

/// Lets the gate decide on an imported version.
pub async fn adopt(common: &Common, args: AdoptArgs) -> Result<ExitCode, Error> {
    let mut learner = context::examiner(common, args.suites.as_deref()).await?;
    let mut engine = context::engine(common).await?;
    let options = LearnOptions { sample: args.sample, ..LearnOptions::default() };
    let told = &mut |_: Event| {};
    let report = learner.adopt(&mut engine, &args.version, &options, told).await?;
    moves::tell(common, &report)
}

fn read_key(path: &Path) -> Result<[u8; 32], Error> {
    let text = fs::read_to_string(path).map_err(|error| Error::file(path, &error))?;
    let text = text.trim();
    let digits = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !digits {
        let text = "is no signing key: it must hold 64 hex digits";
        return Err(Error::Misuse(format!("{} {text}", path.display())));
    }
    let mut secret = [0; 32];
    for (byte, at) in secret.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).expect("two hex digits");
    }
    Ok(secret)
}

/// A new key, which only its owner can read.
fn make_key(path: &Path) -> Result<[u8; 32], Error> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)
        .map_err(|error| Error::Misuse(format!("no random numbers for a signing key: {error}")))?;
    let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    files::write_new_private(path, format!("{digits}\n").as_bytes())?;
    eprintln!("a signing key was made: {}; keep it, and keep it to yourself", path.display());
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::skill::Manifest;
    use crate::model::adapter::Adapter;
    use crate::model::method::Method;

    #[test]
    fn a_skill_for_another_model_or_by_another_signer_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("towns.skill");
        let adapter = Adapter { method: Method::Lora, rank: 1, alpha: 1.0, weights: vec![0.5; 4] };
        let manifest = Manifest {
            name: "towns".into(),
            base_hash: "ab".repeat(32),
            scoped: false,
            lessons: Vec::new(),
        };
        let bytes = Skill { manifest, adapter: adapter.to_bytes() }.sign(&[9; 32]);
        fs::write(&path, bytes).unwrap();
        assert!(is_skill(&path) && !is_skill(folder.path()));
        let signer = public_key(&[9; 32]);
        let good = read(&path, &"ab".repeat(32), Some(&signer.to_uppercase())).unwrap();
        assert_eq!(good.adapter, adapter);
        let told =
            |base: &str, signer: Option<&str>| read(&path, base, signer).unwrap_err().to_string();
        let other = public_key(&[8; 32]);
        assert!(told(&"ab".repeat(32), Some(&other)).contains("nothing was imported"));
        assert!(told(&"cd".repeat(32), None).contains("another base model"));
    }

    #[test]
    fn a_key_is_made_once_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(KEY_FILE);
        let made = make_key(&path).unwrap();
        assert_eq!(read_key(&path).unwrap(), made);
        assert!(make_key(&path).is_err(), "a key is never overwritten");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0);
        }
        fs::write(&path, "not a key").unwrap();
        assert!(read_key(&path).unwrap_err().to_string().contains("64 hex digits"));
    }
}
