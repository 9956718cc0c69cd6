//! A GGUF file written anew, tensor by tensor: what `quantize` and `merge` share.
//!
//! Tensors are streamed in chunks of rows, so a model of any size goes through a few MiB of memory; what becomes of the rows
//! is the caller's. Invariant: the output gets its name when it is whole and on the disk; a file that is already there is
//! never touched.

use super::files;
use crate::error::Error;
use crate::format::gguf::{Gguf, TensorInfo};
use crate::format::gguf_value::Metadata;
use crate::format::gguf_writer::{TensorHead, alignment, header};
use crate::format::source::{FileSource, Source};
use crate::quant::TensorType;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

/// Elements of a chunk: 16 MiB as f32.
const CHUNK_ELEMENTS: usize = 4 << 20;

/// What becomes of a file's parts.
pub trait Rewrite {
    /// The new metadata, and the tensors' new types in the file's order.
    fn plan(&mut self, gguf: &Gguf) -> Result<(Metadata, Vec<TensorType>), Error>;

    /// Whole rows of a tensor, from row `first` on, as they are to be written.
    fn rows(&mut self, tensor: &Tensor<'_>, first: usize, raw: Vec<u8>) -> Result<Vec<u8>, Error>;
}

/// A tensor on its way.
pub struct Tensor<'a> {
    /// How it lies in the old file.
    pub info: &'a TensorInfo,
    /// Its type in the new one.
    pub ty: TensorType,
}

/// Bytes of the file before and after.
#[derive(Debug, Clone, Copy)]
pub struct Lengths {
    /// Of the old file.
    pub before: u64,
    /// Of the new one.
    pub after: u64,
}

/// Writes `input`'s model to `output`, which must not exist, as `job` says; `on_progress` hears bytes read and all bytes.
pub async fn rewrite(
    input: &Path,
    output: &Path,
    job: &mut dyn Rewrite,
    on_progress: &mut dyn FnMut(u64, u64),
) -> Result<Lengths, Error> {
    files::refuse_existing(output)?;
    let mut source = FileSource::open(input)?;
    let gguf = Gguf::read(&mut source).await?;
    let (metadata, types) = job.plan(&gguf)?;
    let part = files::part_path(output)?;
    let file = File::create_new(&part).map_err(|error| Error::file(&part, &error))?;
    let tensors = gguf.tensors.iter().zip(types).map(|(info, ty)| Tensor { info, ty }).collect();
    let written = write_model(&metadata, tensors, &mut source, file, job, on_progress).await;
    let written = written.and_then(|()| {
        files::refuse_existing(output)?;
        fs::rename(&part, output).map_err(|error| Error::file(output, &error))?;
        files::sync_folder_of(output)
    });
    written.inspect_err(|_| {
        // The first error is the one to tell; a part that stays behind is refused by name next time.
        fs::remove_file(&part).ok();
    })?;
    let after = fs::metadata(output).map_err(|error| Error::file(output, &error))?.len();
    Ok(Lengths { before: source.len(), after })
}

async fn write_model(
    metadata: &Metadata,
    tensors: Vec<Tensor<'_>>,
    source: &mut FileSource,
    file: File,
    job: &mut dyn Rewrite,
    on_progress: &mut dyn FnMut(u64, u64),
) -> Result<(), Error> {
    let head = |tensor: &Tensor| TensorHead {
        name: tensor.info.name.clone(),
        ty: tensor.ty,
        shape: tensor.info.shape.clone(),
    };
    let heads: Vec<TensorHead> = tensors.iter().map(head).collect();
    let header = header(metadata, &heads);
    let mut out = BufWriter::with_capacity(1 << 20, file);
    out.write_all(&header).map_err(failed)?;
    let mut at = header.len() as u64;
    let total = tensors.iter().map(|tensor| tensor.info.bytes).sum();
    let mut done = 0;
    for (tensor, head) in tensors.iter().zip(&heads) {
        let padding = at.next_multiple_of(alignment(metadata)) - at;
        out.write_all(&vec![0; padding as usize]).map_err(failed)?;
        let mut heard = |bytes: u64| on_progress(done + bytes, total);
        write_tensor(tensor, source, &mut out, job, &mut heard).await?;
        (done, at) = (done + tensor.info.bytes, at + padding + head.bytes());
    }
    let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)
}

/// Writes one tensor, in chunks of rows.
async fn write_tensor(
    tensor: &Tensor<'_>,
    source: &mut FileSource,
    out: &mut impl Write,
    job: &mut dyn Rewrite,
    heard: &mut dyn FnMut(u64),
) -> Result<(), Error> {
    let info = tensor.info;
    let (rows, cols) = (info.rows(), info.cols());
    let row_bytes = info.ty.row_bytes(cols);
    let step = (CHUNK_ELEMENTS / cols).max(1);
    for row in (0..rows).step_by(step) {
        let mut raw = vec![0; step.min(rows - row) * row_bytes];
        source.read_at(info.offset + (row * row_bytes) as u64, &mut raw).await?;
        let bytes = job.rows(tensor, row, raw)?;
        out.write_all(&bytes).map_err(failed)?;
        heard(((row + step).min(rows) * row_bytes) as u64);
    }
    Ok(())
}

fn failed(error: std::io::Error) -> Error {
    Error::Output(error.to_string())
}
