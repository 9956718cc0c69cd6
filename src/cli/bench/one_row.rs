//! The kernels of decoding: one row, bound by the bytes of weights and keys.
//!
//! It records them as `model::decode` does, without an adapter. Where a layer's matrices are unlike each other the fused
//! kernels do not run, and their products are measured one by one.

use super::table::Table;
use crate::device::{DeviceError, Recording};
use crate::error::Error;
use crate::kernels::{self, AttentionShape, Gemv, Norm};
use crate::model::config::Config;
use crate::model::lora::Module;
use crate::tensor::Weight;

/// Every case.
pub async fn cases(table: &mut Table<'_>) -> Result<(), Error> {
    norm_linears(table).await?;
    for keys in &table.plan.contexts {
        attention(table, *keys).await?;
    }
    product(table, "o", Module::O).await?;
    norm_swiglu(table).await?;
    product(table, "down", Module::Down).await?;
    head(table).await
}

/// How a row is made of heads.
pub fn heads(config: &Config) -> AttentionShape {
    let Config { heads, kv_heads, head_dim, .. } = *config;
    AttentionShape { heads, kv_heads, head_dim }
}

async fn norm_linears(table: &mut Table<'_>) -> Result<(), Error> {
    let config = table.shapes.config.clone();
    let [q, k, v] = [Module::Q, Module::K, Module::V].map(|module| table.shapes.linear(module));
    let sets = table.operands.weights(&[q, k, v], config.layers)?;
    if !kernels::are_alike(&sets[0].iter().collect::<Vec<_>>()) {
        return products(table, &[("q", Module::Q), ("k", Module::K), ("v", Module::V)]).await;
    }
    let x = table.operands.tensor(1, config.dim)?;
    let gain = table.operands.tensor(1, config.dim)?;
    let rows = q.1 + k.1 + v.1;
    let y = table.operands.zeros(1, rows)?;
    let norm = Norm { gain: &gain.view, eps: config.rms_eps };
    let record = |rec: &mut Recording, i: usize| {
        let weights = [&sets[i][0], &sets[i][1], &sets[i][2]];
        kernels::norm_linears(rec, &weights, &x, norm, Gemv::PLAIN, None, &y.view)
    };
    table.case(("q, k, v", 1, &[rows, config.dim]), sets.len(), record).await
}

async fn norm_swiglu(table: &mut Table<'_>) -> Result<(), Error> {
    let config = table.shapes.config.clone();
    let pair = [Module::Gate, Module::Up].map(|module| table.shapes.linear(module));
    let sets = table.operands.weights(&pair, config.layers)?;
    if !kernels::are_alike(&sets[0].iter().collect::<Vec<_>>()) {
        return products(table, &[("gate", Module::Gate), ("up", Module::Up)]).await;
    }
    let x = table.operands.tensor(1, config.dim)?;
    let gain = table.operands.tensor(1, config.dim)?;
    let h = table.operands.zeros(1, config.ff)?;
    let norm = Norm { gain: &gain.view, eps: config.rms_eps };
    let record = |rec: &mut Recording, i: usize| {
        let pair = [&sets[i][0], &sets[i][1]];
        kernels::norm_swiglu(rec, pair, &x, norm, Gemv::PLAIN, &h)
    };
    table.case(("gate, up", 1, &[2 * config.ff, config.dim]), sets.len(), record).await
}

async fn products(table: &mut Table<'_>, modules: &[(&str, Module)]) -> Result<(), Error> {
    for (what, module) in modules {
        product(table, what, *module).await?;
    }
    Ok(())
}

async fn product(table: &mut Table<'_>, what: &str, module: Module) -> Result<(), Error> {
    let linear = table.shapes.linear(module);
    let sets = table.operands.weights(&[linear], table.shapes.config.layers)?;
    one_row_times(table, what, sets, true).await
}

async fn head(table: &mut Table<'_>) -> Result<(), Error> {
    let vocab = table.shapes.config.vocab;
    let sets = table.operands.weights(&[table.shapes.head()], 1)?;
    one_row_times(table, "head", sets, false).await?;
    let logits = table.operands.tensor(1, vocab)?;
    let id = table.operands.words(&[0])?;
    let record = |rec: &mut Recording, _| kernels::argmax(rec, &logits, &id);
    table.case(("token", 1, &[vocab]), 1, record).await
}

/// One product in every way that the device has.
async fn one_row_times(
    table: &mut Table<'_>,
    what: &str,
    sets: Vec<Vec<Weight>>,
    accumulate: bool,
) -> Result<(), Error> {
    let (rows, cols) = (sets[0][0].rows, sets[0][0].cols);
    let (x, y) = (table.operands.tensor(1, cols)?, table.operands.zeros(1, rows)?);
    let (features, ty) = (table.device.features(), sets[0][0].ty);
    for gemv in Gemv::ALL.into_iter().filter(|gemv| gemv.runs(features, ty)) {
        let what =
            if gemv == Gemv::PLAIN { what.into() } else { format!("{what}, {}", gemv.name()) };
        let record = |rec: &mut Recording, i: usize| -> Result<(), DeviceError> {
            kernels::matvec(rec, &sets[i][0], &x, &y, accumulate, gemv, None)
        };
        table.case((&what, 1, &[rows, cols]), sets.len(), record).await?;
    }
    Ok(())
}

async fn attention(table: &mut Table<'_>, keys: usize) -> Result<(), Error> {
    let heads = heads(&table.shapes.config);
    let (q_cols, kv_cols) = (heads.heads * heads.head_dim, heads.kv_heads * heads.head_dim);
    let q = table.operands.tensor(1, q_cols)?;
    let (k, v) = (table.operands.tensor(keys, kv_cols)?, table.operands.tensor(keys, kv_cols)?);
    let (o, stats) = (table.operands.zeros(1, q_cols)?, table.operands.zeros(1, 2 * heads.heads)?);
    let spans = table.operands.spans(1, keys)?;
    let record = |rec: &mut Recording, _| {
        kernels::attention(rec, &q, &k, &v, &spans, None, &o, &stats, heads)
    };
    table.case(("attention", 1, &[keys, kv_cols]), 1, record).await
}
