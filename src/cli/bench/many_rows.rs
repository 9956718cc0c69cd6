//! The kernels of prefill and training: many rows, bound by arithmetic.
//!
//! Forward and backward of one layer, the head's loss and the optimizer's step; of matrices of one shape and type, one
//! case. LoRA's are of rank 8.

use super::one_row::heads;
use super::table::Table;
use crate::device::Recording;
use crate::error::Error;
use crate::kernels::{self, AdamW};
use crate::model::lora::{LoraLayout, Method, Module};
use crate::model::memory::LOGIT_ROWS;

/// The adapter's rank.
const RANK: usize = 8;

/// Every case, on `rows` rows.
pub async fn cases(table: &mut Table<'_>, rows: usize) -> Result<(), Error> {
    let modules = [
        ("q", Module::Q),
        ("k", Module::K),
        ("o", Module::O),
        ("gate", Module::Gate),
        ("down", Module::Down),
    ];
    let mut seen = Vec::new();
    for (what, module) in modules {
        let linear = table.shapes.linear(module);
        if !seen.contains(&linear) {
            seen.push(linear);
            products(table, what, module, rows).await?;
        }
    }
    attention(table, rows).await?;
    elementwise(table, rows).await?;
    lora(table, rows).await?;
    loss_and_step(table, rows).await
}

async fn products(
    table: &mut Table<'_>,
    what: &str,
    module: Module,
    rows: usize,
) -> Result<(), Error> {
    let (ty, out, cols) = table.shapes.linear(module);
    let sets = table.operands.weights(&[(ty, out, cols)], table.shapes.config.layers)?;
    let (x, y) = (table.operands.tensor(rows, cols)?, table.operands.zeros(rows, out)?);
    let record = |rec: &mut Recording, i: usize| kernels::linear(rec, &sets[i][0], &x, &y, false);
    table.case((what, rows, &[out, cols]), sets.len(), record).await?;
    let (dy, dx) = (table.operands.tensor(rows, out)?, table.operands.zeros(rows, cols)?);
    let record =
        |rec: &mut Recording, i: usize| kernels::matmul_dx(rec, &sets[i][0], &dy, &dx, false);
    table.case((what, rows, &[out, cols]), sets.len(), record).await
}

async fn attention(table: &mut Table<'_>, rows: usize) -> Result<(), Error> {
    let heads = heads(&table.shapes.config);
    let (q_cols, kv_cols) = (heads.heads * heads.head_dim, heads.kv_heads * heads.head_dim);
    let make = &table.operands;
    let [q, d_o] = [make.tensor(rows, q_cols)?, make.tensor(rows, q_cols)?];
    let [k, v] = [make.tensor(rows, kv_cols)?, make.tensor(rows, kv_cols)?];
    let [o, dq] = [make.zeros(rows, q_cols)?, make.zeros(rows, q_cols)?];
    let [dk, dv] = [make.zeros(rows, kv_cols)?, make.zeros(rows, kv_cols)?];
    let stats = make.zeros(rows, 2 * heads.heads)?;
    let (spans, key_spans) = (make.spans(rows, rows)?, make.key_spans(rows)?);
    let case = ("attention", rows, &[rows, q_cols][..]);
    let record = |rec: &mut Recording, _| {
        kernels::attention(rec, &q, &k, &v, &spans, None, &o, &stats, heads)
    };
    table.case(case, 1, record).await?;
    let record = |rec: &mut Recording, _| {
        kernels::attention_dq(rec, &q, &k, &v, &o, &d_o, &spans, &stats, &dq, heads)
    };
    table.case(case, 1, record).await?;
    let record = |rec: &mut Recording, _| {
        kernels::attention_dkv(rec, &q, &k, &v, &d_o, &stats, &key_spans, &dk, &dv, heads)
    };
    table.case(case, 1, record).await
}

async fn elementwise(table: &mut Table<'_>, rows: usize) -> Result<(), Error> {
    let (dim, ff, eps) =
        (table.shapes.config.dim, table.shapes.config.ff, table.shapes.config.rms_eps);
    let (x, gain) = (table.operands.tensor(rows, dim)?, table.operands.tensor(1, dim)?);
    let y = table.operands.zeros(rows, dim)?;
    let record = |rec: &mut Recording, _| kernels::rms_norm(rec, &x, &gain.view, eps, &y);
    table.case(("norm", rows, &[dim]), 1, record).await?;
    let (gate, up) = (table.operands.tensor(rows, ff)?, table.operands.tensor(rows, ff)?);
    let h = table.operands.zeros(rows, ff)?;
    let record = |rec: &mut Recording, _| kernels::swiglu(rec, &gate, &up, &h);
    table.case(("gate, up", rows, &[ff]), 1, record).await
}

/// The three kernels of the pair beside `gate`.
async fn lora(table: &mut Table<'_>, rows: usize) -> Result<(), Error> {
    let (out, cols) = Module::Gate.shape(&table.shapes.config);
    let make = &table.operands;
    let (x, dy) = (make.tensor(rows, cols)?, make.tensor(rows, out)?);
    let (a, b) = (make.tensor(RANK, cols)?, make.tensor(out, RANK)?);
    let (u, y) = (make.zeros(rows, RANK)?, make.zeros(rows, out)?);
    let db = make.zeros(out, RANK)?;
    let record = |rec: &mut Recording, _| kernels::lora_a(rec, &x, &a, &u);
    table.case(("gate", rows, &[RANK, cols]), 1, record).await?;
    let record = |rec: &mut Recording, _| kernels::lora_b(rec, &u, &b, 2.0, &y);
    table.case(("gate", rows, &[out, RANK]), 1, record).await?;
    let record = |rec: &mut Recording, _| kernels::lora_grad(rec, &u, &dy, 2.0, &db, true);
    table.case(("gate", rows, &[out, RANK]), 1, record).await
}

async fn loss_and_step(table: &mut Table<'_>, rows: usize) -> Result<(), Error> {
    let vocab = table.shapes.config.vocab;
    let targets = rows.min(LOGIT_ROWS);
    let logits = table.operands.tensor(targets, vocab)?;
    let labels = table.operands.words(&vec![1; targets])?;
    let (weights, loss) = (table.operands.tensor(1, targets)?, table.operands.zeros(1, targets)?);
    let record = |rec: &mut Recording, _| {
        kernels::cross_entropy(rec, &labels, &weights.view, &logits, &loss.view)
    };
    table.case(("loss", targets, &[vocab]), 1, record).await?;
    let n = LoraLayout::new(&table.shapes.config, Method::Lora, RANK).len;
    let make = &table.operands;
    let [g, p, m] = [make.tensor(1, n)?, make.zeros(1, n)?, make.zeros(1, n)?];
    let (v, norm) = (make.zeros(1, n)?, make.tensor(1, 1)?);
    let step = AdamW {
        lr: 1e-3,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
        step: 1,
        clip: 0.0,
        n,
        faster: None,
    };
    let record = |rec: &mut Recording, _| {
        kernels::adamw(rec, &g.view, &norm.view, &p.view, &m.view, &v.view, step)
    };
    table.case(("adapter", 1, &[n]), 1, record).await
}
