//! Words that a model takes for near ones: tokens whose embeddings point the same way.
//!
//! It serves rewordings of a lesson: "maintains" is near "keeps" and "preserves". The embedding matrix is multiplied
//! with one of its own rows, the largest products are picked on the device, and only those are compared by their
//! angle. Invariant: it depends on the frozen embeddings alone, never on the adapter in place.

use super::{Model, ModelError};
use crate::device::Recording;
use crate::kernels::{self, TOP_K_MAX};

/// A token with the cosine of its embedding's angle to another one's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NearToken {
    /// The token.
    pub id: u32,
    /// Cosine of the angle, at most 1.
    pub cosine: f32,
}

impl Model {
    /// Words that stand alone where `word` could, the nearest first, with their cosines: lower-case words of one
    /// token. None where `word` itself takes several tokens.
    pub async fn near_words(&mut self, word: &str) -> Result<Vec<(String, f32)>, ModelError> {
        let [token] = self.tokenizer.encode(&format!(" {word}"), false)[..] else {
            return Ok(Vec::new());
        };
        let near = self.near_tokens(token).await?;
        let words = near.into_iter().filter_map(|NearToken { id, cosine }| {
            let text = self.tokenizer.token_text(id);
            let other = text.strip_prefix(' ')?;
            let plain = other.len() > 1 && other.chars().all(|c| c.is_lowercase());
            (plain && other != word).then(|| (other.to_string(), cosine))
        });
        Ok(words.collect())
    }

    /// The tokens with the largest products of their embeddings with that of `token`, by their cosines; the token
    /// itself is among them.
    async fn near_tokens(&mut self, token: u32) -> Result<Vec<NearToken>, ModelError> {
        let k = TOP_K_MAX.min(self.config.vocab);
        let own = self.embeddings(&[token]).await?;
        let (row, logits) = (self.gathered.0.top(1), self.logits.top(1));
        let mut rec = Recording::new();
        kernels::matmul(&mut rec, &self.weights.embedding, &row, &logits, false)?;
        kernels::top_k(&mut rec, &logits, k, &self.picked.view())?;
        let ids = self.picked.slice(0, 4 * k as u64);
        let ids: Vec<u32> = self.device.submit_and_read(rec, &ids).await?;
        let mut near = Vec::with_capacity(k);
        for chunk in ids.chunks(self.gathered.0.rows) {
            let rows = self.embeddings(chunk).await?;
            let cosines = rows.chunks(self.config.dim).map(|other| cosine(&own, other));
            near.extend(chunk.iter().zip(cosines).map(|(&id, cosine)| NearToken { id, cosine }));
        }
        near.sort_by(|a, b| b.cosine.total_cmp(&a.cosine).then(a.id.cmp(&b.id)));
        Ok(near)
    }

    /// The embeddings of a few tokens, `[tokens, dim]`; they stay in the first rows of `gathered`.
    async fn embeddings(&mut self, tokens: &[u32]) -> Result<Vec<f32>, ModelError> {
        self.device.write(&self.gather_rows, 0, tokens)?;
        let rows = self.gathered.0.top(tokens.len());
        let mut rec = Recording::new();
        kernels::embed(&mut rec, &self.weights.embedding, &self.gather_rows.view(), &rows)?;
        // The view is the whole buffer's: what lies behind these rows is an earlier call's.
        let mut read: Vec<f32> = self.device.submit_and_read(rec, &rows.view).await?;
        read.truncate(tokens.len() * rows.cols);
        Ok(read)
    }
}

/// Cosine of the angle between two vectors; 0 where one of them is zero.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms > 0.0 { dot(a, b) / norms } else { 0.0 }
}
