//! `apprentice synth`: writes the small model of the tests with its suites and lessons (`--small DIR`), or a model of random
//! weights in a known shape (`--arch NAME --type TYPE OUT.gguf`).
//!
//! It shows progress and decides nothing; what is made is in the modules beside it. Invariant: a file gets its name when it
//! is whole.

use super::{plan, random_model, shapes, write_small};
use crate::cli::quantize::parse_type;
use crate::cli::{Common, output};
use crate::error::Error;
use crate::quant::TensorType;
use clap::Args;
use serde_json::json;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Arguments of `synth`.
#[derive(Args)]
pub struct SynthArgs {
    /// Folder for small.gguf, suites/ and lessons
    #[arg(long, value_name = "DIR", conflicts_with_all = ["arch", "ty", "out"])]
    small: Option<PathBuf>,
    /// Shape of a random model: llama-1b, llama-3b, llama-8b, qwen2-0.5b, qwen3-0.6b or smollm2-135m
    #[arg(long, value_name = "NAME", requires = "out")]
    arch: Option<String>,
    /// Tensor type of its matrices
    #[arg(long = "type", value_name = "TYPE", default_value = "q4_0", value_parser = parse_type)]
    ty: TensorType,
    /// Its file
    #[arg(value_name = "OUT.gguf", requires = "arch")]
    out: Option<PathBuf>,
}

/// Runs the command.
pub fn synth(common: &Common, args: &SynthArgs) -> Result<(), Error> {
    match (&args.small, &args.arch, &args.out) {
        (Some(folder), ..) => small(common, folder),
        (None, Some(arch), Some(out)) => random(common, arch, args.ty, out),
        _ => Err(Error::Misuse("give --small DIR, or --arch NAME and a file to write".into())),
    }
}

fn small(common: &Common, folder: &Path) -> Result<(), Error> {
    let bar = output::step_bar();
    bar.set_length(plan().steps as u64);
    let mut on_step = |step: usize, loss: f32| {
        bar.set_position(step as u64);
        bar.set_message(format!("loss {loss:.3}"));
    };
    let small = write_small(folder, common.seed, &mut on_step)?;
    bar.finish_and_clear();
    if common.json {
        return output::json(&small);
    }
    output::line(&format!(
        "{}: {} parameters, {} of {} facts right, {:.0} s",
        small.model.display(),
        small.parameters,
        small.right,
        small.facts,
        small.seconds
    ))
}

fn random(common: &Common, arch: &str, ty: TensorType, out: &Path) -> Result<(), Error> {
    let shape = shapes::find(arch).ok_or_else(|| Error::Misuse(shapes::unknown(arch)))?;
    let began = Instant::now();
    let bar = output::byte_bar("writing");
    let mut on_bytes = |done: u64, total: u64| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let partial = out.with_extension("gguf.tmp");
    let failed = |error: std::io::Error| Error::file(&partial, &error);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&partial).map_err(failed)?);
    let written = random_model::write(&mut file, &shape, ty, common.seed, &mut on_bytes);
    let bytes = written.map_err(failed)?;
    fs::rename(&partial, out).map_err(|error| Error::file(out, &error))?;
    bar.finish_and_clear();
    let seconds = began.elapsed().as_secs_f64();
    if common.json {
        let (arch, ty) = (shape.key, ty.name());
        let model = out.display().to_string();
        return output::json(&json!({
            "model": model, "arch": arch, "type": ty, "bytes": bytes, "seconds": seconds,
        }));
    }
    let megabytes = bytes as f64 / 1e6;
    output::line(&format!("{}: {megabytes:.0} MB in {seconds:.1} s", out.display()))
}
