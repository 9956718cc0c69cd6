//! `apprentice synth --small DIR`: writes the small model of the tests, with its suites and lessons.
//!
//! It shows progress and decides nothing; what is made is in the modules beside it.

use super::{plan, write_small};
use crate::cli::{Common, output};
use crate::error::Error;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `synth`.
#[derive(Args)]
pub struct SynthArgs {
    /// Folder for small.gguf, suites/ and lessons
    #[arg(long, value_name = "DIR")]
    small: PathBuf,
}

/// Runs the command.
pub fn synth(common: &Common, args: &SynthArgs) -> Result<(), Error> {
    let bar = output::step_bar();
    bar.set_length(plan().steps as u64);
    let mut on_step = |step: usize, loss: f32| {
        bar.set_position(step as u64);
        bar.set_message(format!("loss {loss:.3}"));
    };
    let small = write_small(&args.small, common.seed, &mut on_step)?;
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
