//! `apprentice merge --adapter A --out FILE`: a new GGUF whose weights hold what the adapter does.
//!
//! Each matrix W that the adapter changes by D becomes Q(W + D), Q the rounding to the matrix's own type or to `--type`;
//! everything else is copied bit for bit. A small D falls between the steps of a coarse type, so how much of it survived is
//! counted and told. Invariant: the numbers told are those of the bytes written.

use super::quantize::parse_type;
use super::rewrite::{Lengths, Rewrite, Tensor, rewrite};
use super::{Common, adapters, context, output};
use crate::error::Error;
use crate::format::gguf::{Gguf, TensorInfo};
use crate::format::gguf_value::{Metadata, Value};
use crate::format::requantize;
use crate::model::adapter::Adapter;
use crate::model::config::Config;
use crate::model::lora::Module;
use crate::model::merge::Merge;
use crate::quant::{TensorType, dequantize, quantize};
use clap::Args;
use rayon::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Elements of a task of one thread.
const TASK_ELEMENTS: usize = 1 << 16;
/// Below this share of the change in its own direction, the rounding has undone most of it: worth a warning.
const UPDATE_KEPT_WARNED: f64 = 0.5;

/// Arguments of `merge`.
#[derive(Args)]
pub struct MergeArgs {
    /// An adapter, a PEFT folder or a GGUF file, with a weight if one is given; several are added
    #[arg(long, required = true, value_name = "PATH[=WEIGHT]", value_parser = adapters::parse)]
    adapter: Vec<adapters::Weighted>,
    /// What the changed matrices become [default: what each is]: f32 f16 bf16 q4_0 … q8_0 q4_k q5_k q6_k
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_type)]
    ty: Option<TensorType>,
    /// The file to write; it must not exist
    #[arg(long)]
    out: PathBuf,
}

/// What a merge did to a matrix, or to all of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Merged {
    /// The matrix.
    pub name: String,
    /// Its type now.
    #[serde(rename = "type")]
    pub ty: &'static str,
    /// ‖D‖ / ‖W‖: how large the change is.
    pub update: f64,
    /// ‖Q(W + D) - (W + D)‖ / ‖W + D‖: the error of the rounding.
    pub rms_error: f64,
    /// ‖Q(W + D) - W - D‖ / ‖D‖: the same error beside the change. 0: all of it survived; 1: as large as the change itself.
    pub update_error: f64,
    /// ⟨Q(W + D) - W, D⟩ / ‖D‖²: the share of the change that survived in its own direction.
    pub update_kept: f64,
}

/// What a run did.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The new file.
    pub output: PathBuf,
    /// Every matrix that changed, in the file's order.
    pub tensors: Vec<Merged>,
    /// All of them as one.
    pub all: Merged,
    /// Bytes of the old file.
    pub bytes_before: u64,
    /// Bytes of the new file.
    pub bytes_after: u64,
}

/// Runs the command.
pub async fn merge(common: &Common, args: MergeArgs) -> Result<(), Error> {
    let input = context::model_path(common)?;
    let config = adapters::config(common).await?;
    let adapter = adapters::read_all(&config, &args.adapter).await?;
    let adapter = adapter.ok_or_else(|| Error::Misuse("give --adapter".into()))?;
    let bar = output::byte_bar("merging");
    let mut on_progress = |done: u64, total: u64| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let summary = merge_file(&input, &args.out, &adapter, args.ty, &mut on_progress).await?;
    bar.finish_and_clear();
    let all = &summary.all;
    if all.update_kept < UPDATE_KEPT_WARNED {
        eprintln!(
            "warning: rounding to {} left {:.1} % of what the adapter changes; use the adapter unmerged, or merge with \
             --type q8_0 or f16",
            all.ty,
            100.0 * all.update_kept
        );
    }
    if common.json {
        return output::json(&summary);
    }
    for tensor in summary.tensors.iter().chain([all]) {
        output::line(&format!(
            "{:28} {:5} update {:.5}, rounding {:.5}, of the update {:5.1} % kept, error {:.3}",
            tensor.name,
            tensor.ty,
            tensor.update,
            tensor.rms_error,
            100.0 * tensor.update_kept,
            tensor.update_error
        ))?;
    }
    let (path, bytes) = (summary.output.display(), summary.bytes_after);
    output::line(&format!("{path}: {bytes} bytes, before {}", summary.bytes_before))
}

/// Writes `input`'s model with `adapter` in its weights to `output`, the changed matrices in `ty` if one is given.
pub async fn merge_file(
    input: &Path,
    output: &Path,
    adapter: &Adapter,
    ty: Option<TensorType>,
    on_progress: &mut dyn FnMut(u64, u64),
) -> Result<Summary, Error> {
    let mut job = Job { adapter, ty, config: None, tensors: Vec::new() };
    let Lengths { before, after } = rewrite(input, output, &mut job, on_progress).await?;
    let mut sums = Sums::default();
    job.tensors.iter().for_each(|(_, _, of)| sums.add(*of));
    let mut types: Vec<&'static str> = job.tensors.iter().map(|(_, ty, _)| *ty).collect();
    types.sort_unstable();
    types.dedup();
    let all_type = if types.len() == 1 { types[0] } else { "mixed" };
    let tensors = job.tensors.into_iter().map(|(name, ty, sums)| sums.report(name, ty)).collect();
    Ok(Summary {
        output: output.to_path_buf(),
        tensors,
        all: sums.report("all".into(), all_type),
        bytes_before: before,
        bytes_after: after,
    })
}

/// Sums over elements, of W, D and the error E = Q(W + D) - (W + D).
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    w: f64,
    d: f64,
    exact: f64,
    error: f64,
    /// ⟨Q(W + D) - W, D⟩.
    along: f64,
}

impl Sums {
    fn add(&mut self, other: Sums) {
        self.w += other.w;
        self.d += other.d;
        self.exact += other.exact;
        self.error += other.error;
        self.along += other.along;
    }

    fn report(self, name: String, ty: &'static str) -> Merged {
        let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
        Merged {
            name,
            ty,
            update: ratio(self.d, self.w).sqrt(),
            rms_error: ratio(self.error, self.exact).sqrt(),
            update_error: ratio(self.error, self.d).sqrt(),
            update_kept: ratio(self.along, self.d),
        }
    }
}

/// What is merged, and what became of the tensors so far: name, type, sums.
struct Job<'a> {
    adapter: &'a Adapter,
    ty: Option<TensorType>,
    config: Option<Config>,
    tensors: Vec<(String, &'static str, Sums)>,
}

impl Rewrite for Job<'_> {
    fn plan(&mut self, gguf: &Gguf) -> Result<(Metadata, Vec<TensorType>), Error> {
        let config = self.config.insert(Config::from_gguf(gguf)?);
        let merge = Merge::new(config, self.adapter)?;
        let mut metadata = gguf.metadata.clone();
        if let Some(ty) = self.ty {
            metadata.insert("general.file_type", Value::U32(requantize::file_type(ty, true)));
            metadata.insert("general.quantization_version", Value::U32(2));
        }
        let ty_of = |info: &TensorInfo| match (self.ty, place(&merge, &info.name)) {
            (Some(ty), Some(_)) => requantize::fitting(ty, info.cols()),
            _ => info.ty,
        };
        Ok((metadata, gguf.tensors.iter().map(ty_of).collect()))
    }

    fn rows(&mut self, tensor: &Tensor<'_>, first: usize, raw: Vec<u8>) -> Result<Vec<u8>, Error> {
        let Tensor { info, ty } = *tensor;
        let config = self.config.as_ref().expect("the plan comes first");
        let merge = Merge::new(config, self.adapter)?;
        let Some(place) = place(&merge, &info.name) else {
            return Ok(bias(&merge, info, raw));
        };
        if first == 0 {
            self.tensors.push((info.name.clone(), ty.name(), Sums::default()));
        }
        let (cols, row_bytes) = (info.cols(), info.ty.row_bytes(info.cols()));
        let task_rows = (TASK_ELEMENTS / cols).max(1);
        let tasks = raw.par_chunks(task_rows * row_bytes).enumerate();
        let convert = |(i, raw)| merge_rows(&merge, place, first + i * task_rows, info, ty, raw);
        let merged: Vec<(Vec<u8>, Sums)> = tasks.map(convert).collect();
        let mut out = Vec::new();
        let (_, _, sums) = self.tensors.last_mut().expect("its first rows put it there");
        for (bytes, of) in merged {
            out.extend(bytes);
            sums.add(of);
        }
        Ok(out)
    }
}

/// The linear whose weight a tensor is, if the adapter changes it.
fn place(merge: &Merge<'_>, name: &str) -> Option<(usize, Module)> {
    Module::of_weight(name).filter(|(layer, module)| merge.changes(*layer, *module))
}

/// A tensor that is no changed matrix: as it is, or a bias that the adapter scales.
fn bias(merge: &Merge<'_>, info: &TensorInfo, raw: Vec<u8>) -> Vec<u8> {
    let weight = info.name.strip_suffix(".bias").map(|stem| format!("{stem}.weight"));
    let Some(place) = weight.and_then(|weight| place(merge, &weight)) else { return raw };
    let mut values = vec![0.0; info.cols()];
    dequantize(info.ty, &raw, &mut values);
    merge.change_bias(place, &mut values);
    let mut out = Vec::new();
    quantize(info.ty, &values, &mut out);
    out
}

/// Whole rows from `first` on, merged and rounded, and what came of it.
fn merge_rows(
    merge: &Merge<'_>,
    place: (usize, Module),
    first: usize,
    info: &TensorInfo,
    ty: TensorType,
    raw: &[u8],
) -> (Vec<u8>, Sums) {
    let cols = info.cols();
    let mut w = vec![0.0; raw.len() / info.ty.row_bytes(cols) * cols];
    dequantize(info.ty, raw, &mut w);
    let mut change = vec![0.0; w.len()];
    merge.change(place, first, &w, &mut change);
    let exact: Vec<f32> = w.iter().zip(&change).map(|(w, d)| w + d).collect();
    let mut bytes = Vec::new();
    quantize(ty, &exact, &mut bytes);
    let mut rounded = vec![0.0; w.len()];
    dequantize(ty, &bytes, &mut rounded);
    let mut sums = Sums::default();
    for ((w, d), q) in w.iter().zip(&change).zip(&rounded) {
        let [w, d, q] = [w, d, q].map(|x| f64::from(*x));
        sums.w += w * w;
        sums.d += d * d;
        sums.exact += (w + d) * (w + d);
        sums.error += (q - w - d) * (q - w - d);
        sums.along += (q - w) * d;
    }
    (bytes, sums)
}
