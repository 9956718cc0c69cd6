//! Code that was never taught, predicted: the next line to the letter, and the likeliest next token.
//!
//! It knows no learner. Invariant: a line is predicted from the lines before it in its own file alone.

use super::data::SourceFile;
use crate::error::Error;
use crate::learn::engine::Engine;
use crate::learn::learner::LearnError;
use crate::learn::student::{AnswerOptions, greedy};
use crate::model::pass::{Target, causal_rows};
use crate::model::random::Random;

/// Lines that are predicted in each file.
const LINES_A_FILE: usize = 16;

/// Lines before the predicted one that the model sees.
const LINES_BEFORE: usize = 24;

/// Tokens of a line.
const LINE_TOKENS: usize = 40;

/// Whether each of some lines was written to the letter; at most `most`.
pub async fn next_lines(
    engine: &mut Engine,
    files: &[SourceFile],
    most: Option<usize>,
) -> Result<Vec<bool>, Error> {
    let mut asked: Vec<(String, &str)> = files.iter().flat_map(lines_of).collect();
    asked.truncate(most.unwrap_or(usize::MAX));
    let options = greedy(LINE_TOKENS);
    let texts: Vec<(String, AnswerOptions)> =
        asked.iter().map(|(before, _)| (before.clone(), options.clone())).collect();
    let line_is_whole = |text: &str| text.trim_start_matches('\n').contains('\n');
    let written = engine.go_on(&texts, line_is_whole).await.map_err(LearnError::from)?;
    let first = |text: &str| text.trim_start_matches('\n').lines().next().map(str::to_string);
    let right = |((_, line), text): (&(String, &str), &String)| {
        first(text).is_some_and(|text| text.trim_end() == *line)
    };
    Ok(asked.iter().zip(&written).map(right).collect())
}

/// Lines of a file with the text before each, chosen by the file's name. The text ends before its last line break, since a
/// break and the spaces behind it are one token.
fn lines_of(file: &SourceFile) -> Vec<(String, &str)> {
    let lines: Vec<&str> = file.text.lines().collect();
    let mut at: Vec<usize> = (1..lines.len())
        .filter(|&i| !lines[i].trim().is_empty() && !lines[i - 1].trim().is_empty())
        .collect();
    Random::named(0, &file.name).shuffle(&mut at);
    at.truncate(LINES_A_FILE);
    at.sort_unstable();
    let before = |i: usize| lines[i.saturating_sub(LINES_BEFORE)..i].join("\n");
    at.into_iter().map(|i| (before(i), lines[i])).collect()
}

/// For each file: tokens that were the model's likeliest next one, and all but the first.
pub async fn next_tokens(
    engine: &mut Engine,
    files: &[SourceFile],
) -> Result<Vec<[usize; 2]>, Error> {
    let mut counts = Vec::with_capacity(files.len());
    let (room, vocab) = (engine.model.pass_rows(), engine.model.config.vocab);
    for file in files {
        engine.aim_text(&file.text);
        let tokens = engine.model.tokenizer.encode_whole(&file.text, false);
        let mut count = [0, 0];
        for window in tokens.chunks(room) {
            let labels = &window[1..];
            let targets: Vec<Target> =
                labels.iter().zip(0..).map(|(&label, row)| Target { row, label }).collect();
            if targets.is_empty() {
                continue;
            }
            let logits = engine.model.logits_of(&causal_rows(window, 0), &targets).await?;
            let likeliest = logits.chunks_exact(vocab).map(argmax);
            count[0] += likeliest.zip(labels).filter(|(token, label)| token == *label).count();
            count[1] += labels.len();
        }
        counts.push(count);
    }
    Ok(counts)
}

fn argmax(logits: &[f32]) -> u32 {
    let best = logits.iter().zip(0u32..).max_by(|a, b| a.0.total_cmp(b.0));
    best.map_or(0, |(_, token)| token)
}
