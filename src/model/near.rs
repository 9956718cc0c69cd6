//! Words that a model takes for near ones: tokens whose embeddings point the same way.
//!
//! It serves rewordings of a lesson: "maintains" is near "keeps" and "preserves". The embedding matrix is multiplied
//! with one of its own rows on the device; the rows' norms, summed once, make cosines of the products. Without them long
//! rows would come first, and those are of rare tokens. Invariant: it depends on the frozen embeddings alone, never on
//! the adapter in place.

use super::{Model, ModelError};
use crate::device::Recording;
use crate::kernels;

/// Tokens that are looked at, the nearest.
const NEAREST: usize = 64;

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

    /// The tokens nearest to `token` by the cosines of their embeddings; the token itself is the first.
    async fn near_tokens(&mut self, token: u32) -> Result<Vec<NearToken>, ModelError> {
        if self.embedding_norms.is_empty() {
            self.embedding_norms = self.norms_of_embeddings().await?;
        }
        self.device.write(&self.gather_rows, 0, &[token])?;
        let (row, logits) = (self.gathered.0.top(1), self.logits.top(1));
        let mut rec = Recording::new();
        let table = &self.weights.embedding;
        kernels::embed(&mut rec, table, &self.gather_rows.view(), &row)?;
        kernels::matmul(&mut rec, table, &row, &logits, false)?;
        let products = logits.buffer().slice(0, 4 * table.rows as u64);
        let products: Vec<f32> = self.device.submit_and_read(rec, &products).await?;
        let norms = &self.embedding_norms;
        let own = norms[token as usize];
        let cosine = |(product, norm): (&f32, &f32)| product / (norm * own).max(f32::MIN_POSITIVE);
        let cosines = products.iter().zip(norms).map(cosine).zip(0..);
        let mut near: Vec<NearToken> =
            cosines.map(|(cosine, id)| NearToken { id, cosine }).collect();
        near.sort_by(|a, b| b.cosine.total_cmp(&a.cosine).then(a.id.cmp(&b.id)));
        near.truncate(NEAREST);
        Ok(near)
    }

    /// The norms of the embedding matrix's rows, `[vocab]`; they pass through the logits' memory.
    async fn norms_of_embeddings(&self) -> Result<Vec<f32>, ModelError> {
        let table = &self.weights.embedding;
        let squares = self.logits.buffer().slice(0, 4 * table.rows as u64);
        let mut rec = Recording::new();
        kernels::row_squares(&mut rec, table, &squares)?;
        let squares: Vec<f32> = self.device.submit_and_read(rec, &squares).await?;
        Ok(squares.into_iter().map(f32::sqrt).collect())
    }
}
