//! `apprentice quantize --type TYPE IN.gguf OUT.gguf`: the same model with its matrices in another type.
//!
//! Tensors are streamed in chunks of rows, so a model of any size goes through a few MiB of memory. What gets which
//! type is `format::requantize`'s decision. Invariant: the output gets its name when it is whole and on the disk; a
//! file that is already there is never touched.

use super::{Common, output};
use crate::error::Error;
use crate::format::gguf::{Gguf, TensorInfo};
use crate::format::gguf_value::Value;
use crate::format::gguf_writer::{TensorHead, alignment, header};
use crate::format::requantize;
use crate::format::source::{FileSource, Source};
use crate::quant::{TensorType, dequantize, quantize};
use clap::Args;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Elements of a chunk: 16 MiB as f32.
const CHUNK_ELEMENTS: usize = 4 << 20;
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
    refuse_existing(output)?;
    let mut source = FileSource::open(input)?;
    let gguf = Gguf::read(&mut source).await?;
    let part = part_path(output)?;
    let file = File::create_new(&part).map_err(|error| Error::file(&part, &error))?;
    let written = write_model(&gguf, &mut source, file, wanted, pure, on_progress).await;
    let written = written.and_then(|(types, squares)| {
        refuse_existing(output)?;
        fs::rename(&part, output).map_err(|error| Error::file(output, &error))?;
        sync_folder_of(output)?;
        Ok((types, squares))
    });
    let (types, squares) = written.inspect_err(|_| {
        // The first error is the one to tell; a part that stays behind is refused by name next time.
        fs::remove_file(&part).ok();
    })?;
    let after = fs::metadata(output).map_err(|error| Error::file(output, &error))?;
    Ok(Summary {
        output: output.to_path_buf(),
        types,
        bytes_before: source.len(),
        bytes_after: after.len(),
        rms_error: squares.relative(),
    })
}

fn refuse_existing(output: &Path) -> Result<(), Error> {
    match output.exists() {
        true => Err(Error::Misuse(format!("{} exists; choose another name", output.display()))),
        false => Ok(()),
    }
}

/// Makes a file's new name durable: the name belongs to its folder.
fn sync_folder_of(output: &Path) -> Result<(), Error> {
    // Only Unix opens folders; elsewhere the rename itself is as durable as it gets.
    if cfg!(unix) {
        let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| Error::file(folder, &error))?;
    }
    Ok(())
}

/// `OUT.gguf.part` beside the output, so that the rename stays within a file system.
fn part_path(output: &Path) -> Result<PathBuf, Error> {
    let Some(name) = output.file_name() else {
        return Err(Error::Misuse(format!("{} names no file", output.display())));
    };
    let mut name = name.to_os_string();
    name.push(".part");
    Ok(output.with_file_name(name))
}

type Written = (BTreeMap<&'static str, TypeSummary>, Squares);

async fn write_model(
    gguf: &Gguf,
    source: &mut FileSource,
    file: File,
    wanted: TensorType,
    pure: bool,
    on_progress: &mut dyn FnMut(u64, u64),
) -> Result<Written, Error> {
    let types = requantize::plan(gguf, wanted, pure);
    let mut metadata = gguf.metadata.clone();
    metadata.insert("general.file_type", Value::U32(requantize::file_type(wanted, pure)));
    metadata.insert("general.quantization_version", Value::U32(2));
    let head = |(info, ty): (&TensorInfo, &TensorType)| TensorHead {
        name: info.name.clone(),
        ty: *ty,
        shape: info.shape.clone(),
    };
    let heads: Vec<TensorHead> = gguf.tensors.iter().zip(&types).map(head).collect();
    let header = header(&metadata, &heads);
    let failed = |error: std::io::Error| Error::Output(error.to_string());
    let mut out = BufWriter::with_capacity(1 << 20, file);
    out.write_all(&header).map_err(failed)?;
    let mut at = header.len() as u64;
    let total = gguf.tensors.iter().map(|tensor| tensor.bytes).sum();
    let (mut done, mut all) = (0, Squares::default());
    let mut by_type: BTreeMap<&'static str, (TypeSummary, Squares)> = BTreeMap::new();
    for (info, head) in gguf.tensors.iter().zip(&heads) {
        let padding = at.next_multiple_of(alignment(&metadata)) - at;
        out.write_all(&vec![0; padding as usize]).map_err(failed)?;
        let mut heard = |bytes: u64| on_progress(done + bytes, total);
        let squares = write_tensor(info, head.ty, source, &mut out, &mut heard).await?;
        (done, at) = (done + info.bytes, at + padding + head.bytes());
        all.add(squares);
        let (summary, sum) = by_type.entry(head.ty.name()).or_default();
        summary.tensors += 1;
        summary.converted += usize::from(info.ty != head.ty);
        summary.bytes += head.bytes();
        sum.add(squares);
    }
    let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    let finish = |(name, (summary, sum)): (_, (TypeSummary, Squares))| {
        (name, TypeSummary { rms_error: sum.relative(), ..summary })
    };
    Ok((by_type.into_iter().map(finish).collect(), all))
}

/// Copies one tensor, in chunks of rows, converting it if its type changes.
async fn write_tensor(
    info: &TensorInfo,
    ty: TensorType,
    source: &mut FileSource,
    out: &mut impl Write,
    heard: &mut dyn FnMut(u64),
) -> Result<Squares, Error> {
    let (rows, cols) = (info.rows(), info.cols());
    let row_bytes = info.ty.row_bytes(cols);
    let step = (CHUNK_ELEMENTS / cols).max(1);
    let mut squares = Squares::default();
    let mut raw = Vec::new();
    for row in (0..rows).step_by(step) {
        raw.resize(step.min(rows - row) * row_bytes, 0);
        source.read_at(info.offset + (row * row_bytes) as u64, &mut raw).await?;
        let write = |out: &mut _, bytes: &[u8]| -> Result<(), Error> {
            Write::write_all(out, bytes).map_err(|error| Error::Output(error.to_string()))
        };
        if info.ty == ty {
            write(out, &raw)?;
        } else {
            let task_rows = (TASK_ELEMENTS / cols).max(1);
            let tasks = raw.par_chunks(task_rows * row_bytes);
            let converted: Vec<_> = tasks.map(|raw| convert(info.ty, ty, cols, raw)).collect();
            for (bytes, of) in converted {
                write(out, &bytes)?;
                squares.add(of);
            }
        }
        heard(((row + step).min(rows) * row_bytes) as u64);
    }
    Ok(squares)
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
