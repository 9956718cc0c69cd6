//! A skill: somebody's adapter with what it was taught, signed, in one file that can be passed on.
//!
//! The file is a magic line, the signer's public key (32 bytes), an Ed25519 signature (RFC 8032; 64 bytes) of the magic line
//! and all that follows the signature, the manifest's length (u64, little-endian), the manifest (JSON), and the adapter's
//! bytes up to the end. Nothing is parsed before the signature holds. It knows neither what lessons look like nor whom to
//! trust: a signature only says that whoever has the key wrote this file. Invariant: a file of which any byte was changed
//! is refused.

use super::error::FormatError;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

/// The first bytes of such a file.
pub const MAGIC: &[u8] = b"apprentice skill 1\n";

/// Where the signed part begins, behind the magic line.
const SIGNED_AT: usize = MAGIC.len() + 32 + 64;

/// Most bytes of a manifest: some thousand lessons.
const MANIFEST_MAX: u64 = 16 << 20;

/// An adapter that is passed on.
#[derive(Debug, Clone, PartialEq)]
pub struct Skill {
    /// What it says of itself.
    pub manifest: Manifest,
    /// The adapter, as `Adapter::to_bytes` writes it.
    pub adapter: Vec<u8>,
}

/// What a skill says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Its name, for a person.
    pub name: String,
    /// sha256 of the base model's file, hex: an adapter means nothing on another one.
    pub base_hash: String,
    /// Whether it answers only near its lessons.
    pub scoped: bool,
    /// What it was taught, as the learning loop writes it; empty where the author keeps that.
    pub lessons: Vec<serde_json::Value>,
}

impl Skill {
    /// The file's bytes, signed with a secret key (an Ed25519 seed).
    pub fn sign(&self, secret: &[u8; 32]) -> Vec<u8> {
        let key = SigningKey::from_bytes(secret);
        let manifest = serde_json::to_vec(&self.manifest).expect("a manifest is plain JSON");
        let length = (manifest.len() as u64).to_le_bytes();
        let signed = [MAGIC, &length, &manifest, &self.adapter].concat();
        let signature = key.sign(&signed).to_bytes();
        let public = key.verifying_key().to_bytes();
        [MAGIC, &public, &signature, &signed[MAGIC.len()..]].concat()
    }

    /// Reads a file, if its signature holds; the signer's public key in hex comes with it.
    pub fn read(name: &str, bytes: &[u8]) -> Result<(Skill, String), FormatError> {
        let wrong = |what: &str, offset: usize, reason: &str| FormatError::Invalid {
            name: name.into(),
            what: what.into(),
            offset: offset as u64,
            reason: reason.into(),
        };
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            return Err(wrong("the first line", 0, "this is no skill of this program"));
        };
        let cut = || wrong("the signature", bytes.len(), "the file is cut short");
        let (public, rest) = rest.split_first_chunk::<32>().ok_or_else(cut)?;
        let (signature, body) = rest.split_first_chunk::<64>().ok_or_else(cut)?;
        let signed = [MAGIC, body].concat();
        // Strict: a key or a signature of small order would hold for more than one file.
        VerifyingKey::from_bytes(public)
            .and_then(|key| key.verify_strict(&signed, &Signature::from_bytes(signature)))
            .map_err(|_| {
                let reason = "it does not hold: the file is damaged, or was changed by somebody";
                wrong("the signature", MAGIC.len() + 32, reason)
            })?;
        let (length, body) = body.split_first_chunk::<8>().ok_or_else(cut)?;
        let length = u64::from_le_bytes(*length);
        let manifest = usize::try_from(length).ok().filter(|_| length <= MANIFEST_MAX);
        let parts = manifest.and_then(|length| body.split_at_checked(length));
        let Some((manifest, adapter)) = parts else {
            let reason = format!("its length {length} is beyond the file or 16 MiB");
            return Err(wrong("the manifest", SIGNED_AT, &reason));
        };
        let manifest = serde_json::from_slice(manifest)
            .map_err(|error| wrong("the manifest", SIGNED_AT + 8, &error.to_string()))?;
        Ok((Skill { manifest, adapter: adapter.to_vec() }, hex(public)))
    }
}

/// The public key of a secret one, in hex: what people compare.
pub fn public_key(secret: &[u8; 32]) -> String {
    hex(SigningKey::from_bytes(secret).verifying_key().as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skill() -> Skill {
        let manifest = Manifest {
            name: "harbour".into(),
            base_hash: "ab".repeat(32),
            scoped: true,
            lessons: vec![serde_json::json!({ "kind": "correction" })],
        };
        Skill { manifest, adapter: vec![7; 100] }
    }

    /// RFC 8032, section 7.1, TEST 1: the key pair.
    #[test]
    fn a_key_pair_is_that_of_the_rfc() {
        let secret = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let byte = |i: usize| u8::from_str_radix(&secret[2 * i..2 * i + 2], 16).unwrap();
        assert_eq!(public_key(&std::array::from_fn(byte)), public);
    }

    #[test]
    fn what_was_signed_is_read_again_with_its_signer() {
        let (skill, secret) = (skill(), [3; 32]);
        let read = Skill::read("harbour.skill", &skill.sign(&secret)).unwrap();
        assert_eq!(read, (skill.clone(), public_key(&secret)));
        assert_ne!(Skill::read("x", &skill.sign(&[4; 32])).unwrap().1, public_key(&secret));
    }

    #[test]
    fn a_file_of_which_any_byte_was_changed_is_refused() {
        let bytes = skill().sign(&[3; 32]);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let told = Skill::read("harbour.skill", &changed).unwrap_err().to_string();
            assert!(told.starts_with("harbour.skill: ") && told.lines().count() == 1, "{told}");
            assert!(Skill::read("cut", &bytes[..at]).is_err(), "cut at {at}");
        }
        assert!(Skill::read("longer", &[&bytes[..], &[0]].concat()).is_err());
    }

    /// A signature is no promise that what was signed makes sense.
    #[test]
    fn nonsense_that_is_signed_is_refused() {
        let key = SigningKey::from_bytes(&[3; 32]);
        let file = |body: &[u8]| {
            let signature = key.sign(&[MAGIC, body].concat()).to_bytes();
            [MAGIC, key.verifying_key().as_bytes(), &signature, body].concat()
        };
        for (length, rest) in [(u64::MAX, &b"{}"[..]), (3, b"{}"), (2, b"{}"), (17 << 20, b"{}")] {
            let body = [&length.to_le_bytes()[..], rest].concat();
            let told = Skill::read("bad", &file(&body)).unwrap_err().to_string();
            assert!(told.contains("the manifest"), "{told}");
        }
    }
}
