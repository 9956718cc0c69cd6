//! `apprentice perplexity`: exp of the mean NLL over whole, non-overlapping windows of a text, and the logits themselves.

use super::{Common, adapters, context, files, output};
use crate::error::Error;
use crate::format::safetensors::{NamedTensor, write_f32};
use crate::model::Model;
use crate::model::pass::{Target, causal_rows};
use crate::model::score::Scored;
use clap::Args;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Arguments of `perplexity`.
#[derive(Args)]
pub struct PerplexityArgs {
    /// The text
    #[arg(long)]
    file: PathBuf,
    /// Tokens of a window
    #[arg(long, default_value_t = 256)]
    context: usize,
    /// An adapter, a PEFT folder or a GGUF file, with a weight if one is given; several are added
    #[arg(long, value_name = "PATH[=WEIGHT]", value_parser = adapters::parse)]
    adapter: Vec<adapters::Weighted>,
    /// Write the logits behind every token of the first 8 windows, to compare with other programs: `logits`
    /// [windows, context, vocabulary] in safetensors
    #[arg(long, value_name = "FILE")]
    logits: Option<PathBuf>,
}

/// Windows whose logits are written: a vocabulary's length for each token is much.
const LOGITS_WINDOWS: usize = 8;

pub async fn perplexity(common: &Common, args: PerplexityArgs) -> Result<(), Error> {
    let text = fs::read_to_string(&args.file).map_err(|error| Error::file(&args.file, &error))?;
    let mut engine = context::engine(common).await?;
    let adapter = adapters::read_all(&engine.model.config, &args.adapter).await?;
    engine.model.set_adapter(adapter.as_ref())?;
    let most = engine.model.pass_rows();
    if args.context < 2 || args.context > most {
        return Err(Error::Misuse(format!("--context must be 2 to {most}")));
    }
    let tokens = engine.model.tokenizer.encode_whole(&text, false);
    let windows: Vec<Scored> = tokens
        .chunks_exact(args.context)
        .map(|window| Scored { tokens: window.to_vec(), counted: vec![true; window.len()] })
        .collect();
    if windows.is_empty() {
        let path = args.file.display();
        let text = format!(
            "{path}: {} tokens are less than one window of {}; choose a smaller --context",
            tokens.len(),
            args.context
        );
        return Err(Error::Misuse(text));
    }
    if let Some(path) = &args.logits {
        write_logits(&mut engine.model, &windows[..windows.len().min(LOGITS_WINDOWS)], path)
            .await?;
    }
    let bar = output::step_bar();
    bar.set_length(windows.len() as u64);
    let (mut sum, mut n) = (0.0, 0);
    for window in windows.chunks(8) {
        for score in engine.model.score(window).await? {
            sum -= score.sum;
            n += score.tokens;
        }
        bar.inc(window.len() as u64);
    }
    bar.finish_and_clear();
    let nll = sum / n as f64;
    if common.json {
        return output::json(&json!({ "perplexity": nll.exp(), "nll": nll, "tokens": n }));
    }
    output::line(&format!(
        "perplexity {:.4} (NLL {nll:.5} nats a token over {n} tokens)",
        nll.exp()
    ))
}

/// Writes the logits behind every token of windows of one length.
async fn write_logits(model: &mut Model, windows: &[Scored], path: &Path) -> Result<(), Error> {
    let context = windows[0].tokens.len();
    let mut data = Vec::with_capacity(windows.len() * context * model.config.vocab);
    for window in windows {
        let targets: Vec<Target> =
            (0..context as u32).map(|row| Target { row, label: 0 }).collect();
        data.extend(model.logits_of(&causal_rows(&window.tokens, 0), &targets).await?);
    }
    let shape = vec![windows.len(), context, model.config.vocab];
    let bytes = write_f32(&[NamedTensor { name: "logits".into(), shape, data }]);
    files::write_new(path, &bytes)
}
