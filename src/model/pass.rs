//! One pass of packed rows through the model: the step that generation and scoring share.
//!
//! A row is a token with its position and the keys that it sees. Keys go to the conversation's cache, or to
//! scratch rows that live as long as one layer.

use super::forward::{Activations, Keys, Rows};
use super::{Model, ModelError};
use crate::device::{Recording, View};
use crate::kernels;
use crate::quant::TensorType;
use crate::tensor::{Part, Tensor, TileType, Weight};

/// One row of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The token.
    pub token: u32,
    /// Its position in its sequence.
    pub position: u32,
    /// The row that its key and value go to.
    pub key: u32,
    /// Key rows that it sees, lo..hi but for the hole lo..hi.
    pub span: [u32; 4],
}

/// Rows of a sequence whose keys start at row `at`, each seeing itself and what came before.
pub fn causal_rows(tokens: &[u32], at: usize) -> Vec<Row> {
    let rows = tokens.iter().enumerate().map(|(i, &token)| Row {
        token,
        position: i as u32,
        key: (at + i) as u32,
        span: [at as u32, (at + i + 1) as u32, 0, 0],
    });
    rows.collect()
}

/// A target of scoring: after row `row` comes `label`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Row of the pass.
    pub row: u32,
    /// The token that follows.
    pub label: u32,
}

impl Model {
    /// Uploads a pass's rows; its length is at most the workspace's.
    fn put_rows(&self, rows: &[Row]) -> Result<(), ModelError> {
        assert!(rows.len() <= self.work.rows, "{} rows in {}", rows.len(), self.work.rows);
        let column = |f: fn(&Row) -> u32| rows.iter().map(f).collect::<Vec<u32>>();
        self.device.write(&self.work.tokens, 0, &column(|row| row.token))?;
        let places: Vec<u32> = rows.iter().flat_map(|row| [row.position, row.key]).collect();
        self.device.write(&self.work.places, 0, &places)?;
        let spans: Vec<u32> = rows.iter().flat_map(|row| row.span).collect();
        self.device.write(&self.work.spans, 0, &spans)?;
        Ok(())
    }

    /// Records a pass of `rows`; the residual stream after the last layer is returned.
    /// With `cached`, keys go to the cache's rows; else to scratch.
    fn record_pass(
        &self,
        rec: &mut Recording,
        rows: &[Row],
        cached: bool,
    ) -> Result<Tensor, ModelError> {
        self.put_rows(rows)?;
        let n = rows.len();
        let tokens = self.work.tokens.view();
        let places = self.work.places.view();
        let spans = self.work.spans.view();
        let placed = Rows { n, places: &places, spans: &spans };
        let rope = self.rope.view();
        let net = self.net(&rope);
        let a: Activations = self.work.a.top(n);
        let [mut h_in, h_mid, mut h_out] = self.work.h.each_ref().map(|h| h.top(n));
        kernels::embed(rec, &self.weights.embedding, &tokens, &h_in)?;
        for layer in 0..self.config.layers {
            let (k, v) = if cached { &self.cache.layers[layer] } else { &self.scratch };
            let keys = Keys { k, v };
            net.layer(rec, layer, placed, keys, [&h_in, &h_mid, &h_out], &a)?;
            std::mem::swap(&mut h_in, &mut h_out);
        }
        Ok(h_in)
    }

    /// Runs `tokens` after the cache's, in passes; logits of the last token are in row 0 of `self.logits`.
    pub(super) async fn extend(&mut self, tokens: &[u32]) -> Result<(), ModelError> {
        let mut left = tokens.len();
        for chunk in tokens.chunks(self.work.rows) {
            let past = self.cache.tokens.len();
            if past + chunk.len() > self.cache.capacity {
                let wanted = past + left;
                return Err(ModelError::Context { wanted, capacity: self.cache.capacity });
            }
            let mut rows = causal_rows(chunk, 0);
            for row in &mut rows {
                row.position += past as u32;
                row.key += past as u32;
                row.span[1] += past as u32;
            }
            left -= chunk.len();
            let last = [chunk.len() as u32 - 1];
            self.run_cached(&rows, if left == 0 { &last } else { &[] }).await?;
            self.cache.tokens.extend_from_slice(chunk);
        }
        Ok(())
    }

    /// Runs rows whose keys go to the cache; logits of the rows at `last` (at most [`Model::logit_rows`]) are in the first rows of
    /// `self.logits`.
    pub(super) async fn run_cached(
        &mut self,
        rows: &[Row],
        last: &[u32],
    ) -> Result<(), ModelError> {
        let mut rec = Recording::new();
        let h = self.record_pass(&mut rec, rows, true)?;
        if !last.is_empty() {
            let targets: Vec<Target> = last.iter().map(|&row| Target { row, label: 0 }).collect();
            self.target_logits(&mut rec, &h, &targets)?;
        }
        self.device.submit(rec)?;
        crate::device::yield_to_host().await;
        Ok(())
    }

    /// NLL in nats of each target after one pass, whose keys go to the cache's rows or else to scratch.
    pub(crate) async fn nll(
        &mut self,
        rows: &[Row],
        targets: &[Target],
        cached: bool,
    ) -> Result<Vec<f32>, ModelError> {
        let mut rec = Recording::new();
        let h = self.record_pass(&mut rec, rows, cached)?;
        self.device.submit(rec)?;
        let mut nll = Vec::with_capacity(targets.len());
        for chunk in targets.chunks(self.logit_rows()) {
            let mut rec = Recording::new();
            let logits = self.target_logits(&mut rec, &h, chunk)?;
            let labels: Vec<u32> = chunk.iter().map(|target| target.label).collect();
            self.device.write(&self.labels, 0, &labels)?;
            let zero = self.zero_weights.view();
            let loss = self.losses.view();
            kernels::cross_entropy(&mut rec, &self.labels.view(), &zero, &logits, &loss)?;
            self.device.submit(rec)?;
            let view = self.losses.slice(0, 4 * chunk.len() as u64);
            nll.extend(self.device.read::<f32>(&view).await?);
        }
        crate::device::yield_to_host().await;
        Ok(nll)
    }

    /// Logits of every target's row after one pass, read back, `[targets, vocab]`.
    pub async fn logits_of(
        &mut self,
        rows: &[Row],
        targets: &[Target],
    ) -> Result<Vec<f32>, ModelError> {
        self.read_targets(rows, targets, Model::target_logits).await
    }

    /// The last norm's output at every target's row after one pass, read back, `[targets, dim]`.
    pub async fn normed_rows(
        &mut self,
        rows: &[Row],
        targets: &[Target],
    ) -> Result<Vec<f32>, ModelError> {
        self.read_targets(rows, targets, Model::target_norms).await
    }

    /// What `make` records of the targets' rows after one pass, read back, a chunk of targets at a time.
    async fn read_targets(
        &mut self,
        rows: &[Row],
        targets: &[Target],
        make: fn(&Model, &mut Recording, &Tensor, &[Target]) -> Result<Tensor, ModelError>,
    ) -> Result<Vec<f32>, ModelError> {
        let mut rec = Recording::new();
        let h = self.record_pass(&mut rec, rows, false)?;
        self.device.submit(rec)?;
        let mut all = Vec::new();
        for chunk in targets.chunks(self.logit_rows()) {
            let mut rec = Recording::new();
            let made = make(self, &mut rec, &h, chunk)?;
            self.device.submit(rec)?;
            all.extend(made.read(&self.device).await?);
        }
        Ok(all)
    }

    fn target_norms(
        &self,
        rec: &mut Recording,
        h: &Tensor,
        targets: &[Target],
    ) -> Result<Tensor, ModelError> {
        let indices: Vec<u32> = targets.iter().map(|target| target.row).collect();
        let rows = self.gather(rec, h, &indices)?;
        let norm = self.gathered.1.top(targets.len());
        let rope = self.rope.view();
        self.net(&rope).final_norm(rec, &rows, &norm)?;
        Ok(norm)
    }

    fn target_logits(
        &self,
        rec: &mut Recording,
        h: &Tensor,
        targets: &[Target],
    ) -> Result<Tensor, ModelError> {
        let norm = self.target_norms(rec, h, targets)?;
        let logits = self.logits.top(targets.len());
        let rope = self.rope.view();
        self.net(&rope).logits(rec, &norm, &logits)?;
        Ok(logits)
    }

    /// The rows of `h` at `indices` (at most [`Model::logit_rows`]).
    fn gather(
        &self,
        rec: &mut Recording,
        h: &Tensor,
        indices: &[u32],
    ) -> Result<Tensor, ModelError> {
        self.device.write(&self.gather_rows, 0, indices)?;
        let rows = self.gathered.0.top(indices.len());
        gather_rows(rec, h, &self.gather_rows.view(), &rows)?;
        Ok(rows)
    }
}

/// `y[i] = x[indices[i]]`: the embedding kernel over an f32 table.
pub(crate) fn gather_rows(
    rec: &mut Recording,
    x: &Tensor,
    indices: &View,
    y: &Tensor,
) -> Result<(), ModelError> {
    let part = Part { buffer: x.buffer().clone(), row: 0, rows: x.rows, scales_at: 0 };
    let (ty, tile) = (TensorType::F32, TileType::F32);
    let table = Weight { ty, rows: x.rows, cols: x.cols, parts: vec![part], tile };
    Ok(kernels::embed(rec, &table, indices, y)?)
}
