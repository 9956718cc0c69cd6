//! A base model's name: the hash of its file, by which versions know what they were trained on.
//!
//! It reads a source in chunks, so that no more than one of them is in memory. Invariant: the name follows from the file's
//! bytes alone.

use super::ModelError;
use super::weights::OnProgress;
use crate::format::source::Source;
use sha2::{Digest, Sha256};

/// sha256 of a whole file, read in chunks.
pub async fn of(
    source: &mut dyn Source,
    on_progress: &mut OnProgress<'_>,
) -> Result<String, ModelError> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 4 << 20];
    let total = source.len();
    let mut done = 0;
    while done < total {
        let n = ((total - done) as usize).min(chunk.len());
        source.read_at(done, &mut chunk[..n]).await?;
        hasher.update(&chunk[..n]);
        done += n as u64;
        on_progress("verify", done, total);
        crate::device::yield_to_host().await;
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
