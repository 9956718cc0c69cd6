//! `apprentice quantize --type TYPE IN.gguf OUT.gguf`: the same model with its matrices in another type.
//!
//! What gets which type is `format::requantize`'s decision, and how files are written `rewrite`'s. Invariant: what has its
//! type already is copied bit for bit.

use super::rewrite::{Rewrite, Tensor, rewrite};
use super::{Common, output};
use crate::error::Error;
use crate::format::gguf::Gguf;
use crate::format::gguf_value::{Metadata, Value};
use crate::format::requantize;
use crate::quant::{TensorType, dequantize, quantize};
use clap::Args;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Elements of a task of one thread.
const TASK_ELEMENTS: usize = 1 << 16;

/// Arguments of `quantize`.
#[derive(Args)]
pub struct QuantizeArgs {
    /// What matrices become: f32 f16 bf16 q4_0 q4_1 q5_0 q5_1 q8_0 q4_k q5_k q6_k
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_type)]
    ty: TensorType,
    /// Give every matrix this very type, the head too; otherwise the head gets q6_k or q8_0, and of q4_k and q5_k
    /// half the layers' value and down projections get q6_k
    #[arg(long)]
    pure: bool,
    /// The model, a GGUF file
    input: PathBuf,
    /// The file to write; it must not exist
    output: PathBuf,
}

/// The type that people call `name`.
pub fn parse_type(name: &str) -> Result<TensorType, String> {
    TensorType::from_name(name).ok_or_else(|| {
        let known: Vec<_> = TensorType::ALL.iter().map(|ty| ty.name().to_lowercase()).collect();
        format!("choose one of {}", known.join(" "))
    })
}

/// What became of the tensors of one type.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TypeSummary {
    /// Tensors that have the type now.
    pub tensors: usize,
    /// Those that had another one before.
    pub converted: usize,
    /// Bytes of their data now.
    pub bytes: u64,
    /// Root of the summed squares of the converted elements' errors over the elements' own; 0 if none was converted.
    pub rms_error: f64,
}

/// What a run did.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The new file.
    pub output: PathBuf,
    /// By type.
    pub types: BTreeMap<&'static str, TypeSummary>,
    /// Bytes of the old file.
    pub bytes_before: u64,
    /// Bytes of the new file.
    pub bytes_after: u64,
    /// As by type, over all converted tensors.
    pub rms_error: f64,
}

/// Sums of squares: of the errors, and of the elements.
#[derive(Debug, Clone, Copy, Default)]
struct Squares {
    error: f64,
    size: f64,
}

impl Squares {
    fn add(&mut self, other: Squares) {
        self.error += other.error;
        self.size += other.size;
    }

    fn relative(self) -> f64 {
        if self.size > 0.0 { (self.error / self.size).sqrt() } else { 0.0 }
    }
}

/// Runs the command.
pub async fn quantize_command(common: &Common, args: QuantizeArgs) -> Result<(), Error> {
    let bar = output::byte_bar("quantizing");
    let mut on_progress = |done: u64, total: u64| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let QuantizeArgs { ty, pure, input, output } = args;
    let summary = quantize_file(&input, &output, ty, pure, &mut on_progress).await?;
    bar.finish_and_clear();
    if common.json {
        return output::json(&summary);
    }
    for (name, of) in &summary.types {
        output::line(&format!(
            "{name:5} {:4} tensors, {:4} converted, {:12} bytes, relative rms error {:.5}",
            of.tensors, of.converted, of.bytes, of.rms_error
        ))?;
    }
    output::line(&format!(
        "{}: {} bytes, before {}; relative rms error {:.5}",
        summary.output.display(),
        summary.bytes_after,
        summary.bytes_before,
        summary.rms_error
    ))
}

/// Writes `input`'s model to `output` with its matrices in `wanted` (see [`requantize::plan`]).
pub async fn quantize_file(
    input: &Path,
    output: &Path,
    wanted: TensorType,
    pure: bool,
    on_progress: &mut dyn FnMut(u64, u64),
) -> Result<Summary, Error> {
    let mut job = Job { wanted, pure, by_type: BTreeMap::new() };
    let lengths = rewrite(input, output, &mut job, on_progress).await?;
    let mut all = Squares::default();
    job.by_type.values().for_each(|(_, sum)| all.add(*sum));
    let finish = |(name, (summary, sum)): (_, (TypeSummary, Squares))| {
        (name, TypeSummary { rms_error: sum.relative(), ..summary })
    };
    Ok(Summary {
        output: output.to_path_buf(),
        types: job.by_type.into_iter().map(finish).collect(),
        bytes_before: lengths.before,
        bytes_after: lengths.after,
        rms_error: all.relative(),
    })
}

/// What is wanted, and what became of the tensors so far.
struct Job {
    wanted: TensorType,
    pure: bool,
    by_type: BTreeMap<&'static str, (TypeSummary, Squares)>,
}

impl Rewrite for Job {
    fn plan(&mut self, gguf: &Gguf) -> Result<(Metadata, Vec<TensorType>), Error> {
        let (wanted, pure) = (self.wanted, self.pure);
        let mut metadata = gguf.metadata.clone();
        metadata.insert("general.file_type", Value::U32(requantize::file_type(wanted, pure)));
        metadata.insert("general.quantization_version", Value::U32(2));
        Ok((metadata, requantize::plan(gguf, wanted, pure)))
    }

    fn rows(&mut self, tensor: &Tensor<'_>, first: usize, raw: Vec<u8>) -> Result<Vec<u8>, Error> {
        let Tensor { info, ty } = *tensor;
        let cols = info.cols();
        let (summary, sum) = self.by_type.entry(ty.name()).or_default();
        summary.tensors += usize::from(first == 0);
        summary.converted += usize::from(first == 0 && info.ty != ty);
        if info.ty == ty {
            summary.bytes += raw.len() as u64;
            return Ok(raw);
        }
        let task_rows = (TASK_ELEMENTS / cols).max(1);
        let tasks = raw.par_chunks(task_rows * info.ty.row_bytes(cols));
        let converted: Vec<_> = tasks.map(|raw| convert(info.ty, ty, cols, raw)).collect();
        let mut out = Vec::new();
        for (bytes, of) in converted {
            out.extend(bytes);
            sum.add(of);
        }
        summary.bytes += out.len() as u64;
        Ok(out)
    }
}

/// Whole rows of `from` as rows of `to`, and how far off they are.
fn convert(from: TensorType, to: TensorType, cols: usize, raw: &[u8]) -> (Vec<u8>, Squares) {
    let mut values = vec![0.0; raw.len() / from.row_bytes(cols) * cols];
    dequantize(from, raw, &mut values);
    let mut bytes = Vec::new();
    quantize(to, &values, &mut bytes);
    let mut back = vec![0.0; values.len()];
    dequantize(to, &bytes, &mut back);
    let mut squares = Squares::default();
    for (x, y) in values.iter().zip(&back) {
        let (x, y) = (f64::from(*x), f64::from(*y));
        squares.add(Squares { error: (x - y) * (x - y), size: x * x });
    }
    (bytes, squares)
}
