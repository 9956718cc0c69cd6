//! What several test modules share: where the real model and the golden references lie.
//!
//! Invariant: a missing file fails the test with one line that says what to do; nothing is skipped
//! silently.

use apprentice::quant::TensorType;
use std::path::PathBuf;

const MODEL_FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

/// The default model's GGUF: `APPRENTICE_MODEL`, else the file in the platform's cache folder.
pub fn default_model() -> PathBuf {
    let cached = || {
        let dirs = directories::ProjectDirs::from("", "", "apprentice").expect("a home folder");
        dirs.cache_dir().join(MODEL_FILE)
    };
    let path = std::env::var_os("APPRENTICE_MODEL").map_or_else(cached, PathBuf::from);
    let shown = path.display();
    assert!(path.is_file(), "no model at {shown}: fetch {MODEL_FILE} or set APPRENTICE_MODEL");
    path
}

/// The folder of golden references: `APPRENTICE_GOLDEN`, else `tests/golden`.
pub fn golden_dir() -> PathBuf {
    let ours = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let path = std::env::var_os("APPRENTICE_GOLDEN").map_or_else(ours, PathBuf::from);
    let shown = path.display();
    assert!(path.is_dir(), "no golden references at {shown}: set APPRENTICE_GOLDEN");
    path
}

/// The next number of columns that a matrix of this type can have.
pub fn whole_cols(ty: TensorType, cols: usize) -> usize {
    cols.next_multiple_of(ty.block_len())
}

/// Random numbers for tests (SplitMix64): the same seed gives the same numbers.
pub struct Random(pub u64);

impl Random {
    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in -1..1.
    pub fn float(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}
