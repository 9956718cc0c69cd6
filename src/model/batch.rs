//! Several texts written side by side: one pass a step carries a row of each, so a weight is read once for all of them.
//!
//! The streams share the cache's rows, each in a range of its own, and a stream that ends makes room for the next text.
//! What all prompts begin with is computed once (`opening`); the rest of a new stream's prompt goes through the same passes as
//! the others' single rows. Invariant: what a stream writes does not depend on when it was let in, but for the rounding of
//! products of other sizes.

use super::generate::{Cancel, Generation, StopReason};
use super::pass::Row;
use super::random::Random;
use super::sampler::{Choice, Sampling};
use super::{Model, ModelError};
use crate::format::tokenizer::StreamDecoder;

/// Most streams at once.
pub const STREAMS_MAX: usize = 16;

/// A text to be continued.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its tokens.
    pub prompt: Vec<u32>,
    /// Most tokens to add.
    pub tokens_max: usize,
    /// How to choose them.
    pub sampling: Sampling,
}

/// A job under way.
struct Stream {
    /// Which job it is.
    job: usize,
    /// First row of its range of the cache.
    row: usize,
    /// Its tokens, the prompt's first.
    tokens: Vec<u32>,
    /// How many of them have their keys in the cache.
    cached: usize,
    prompt: usize,
    random: Random,
    decoder: StreamDecoder,
    text: String,
}

impl Stream {
    /// A stream whose first `cached` tokens have their keys in its range.
    fn new(index: usize, job: &Job, row: usize, cached: usize) -> Stream {
        Stream {
            job: index,
            row,
            tokens: job.prompt.clone(),
            cached,
            prompt: job.prompt.len(),
            random: Random::new(job.sampling.seed),
            decoder: StreamDecoder::new(),
            text: String::new(),
        }
    }

    /// Rows of its next tokens, at most `room`.
    fn rows(&self, room: usize) -> impl Iterator<Item = Row> {
        let to = self.tokens.len().min(self.cached + room);
        let (row, from) = (self.row as u32, self.cached);
        self.tokens[from..to].iter().zip(from as u32..).map(move |(&token, position)| Row {
            token,
            position,
            key: row + position,
            span: [row, row + position + 1, 0, 0],
        })
    }

    fn finish(mut self, stop_reason: StopReason) -> (usize, Generation) {
        self.text.push_str(&self.decoder.finish());
        let generation = Generation {
            tokens: self.tokens.split_off(self.prompt),
            text: self.text,
            stop_reason,
            prompt_tokens: self.prompt,
            reused_tokens: 0,
        };
        (self.job, generation)
    }
}

impl Model {
    /// Writes all `jobs`, each until a stop token, its limit, or until `enough` says of its text so far that it is; of the
    /// conversation's cache nothing is left but what the jobs begin with. Cancelling ends all of them.
    pub async fn generate_batch(
        &mut self,
        jobs: &[Job],
        cancel: &Cancel,
        enough: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<Generation>, ModelError> {
        let capacity = self.cache.capacity;
        let rows_of = |job: &Job| job.prompt.len() + job.tokens_max;
        let range = jobs.iter().map(rows_of).max().unwrap_or(0).clamp(1, capacity);
        for job in jobs {
            if job.prompt.is_empty() {
                return Err(ModelError::EmptyPrompt);
            }
            if job.prompt.len() >= capacity {
                return Err(ModelError::Context { wanted: job.prompt.len() + 1, capacity });
            }
        }
        let prompts: Vec<&[u32]> = jobs.iter().map(|job| job.prompt.as_slice()).collect();
        let opening = self.open(&prompts, range).await?;
        self.cache.tokens.truncate(opening);
        let streams_max = STREAMS_MAX.min(self.logit_rows()).min((capacity - opening) / range);
        let mut free: Vec<usize> = (0..streams_max).rev().map(|i| opening + i * range).collect();
        let mut waiting = jobs.iter().enumerate();
        let mut streams: Vec<Stream> = Vec::new();
        let mut done: Vec<Option<Generation>> = vec![None; jobs.len()];
        loop {
            let mut let_in = Vec::new();
            while !free.is_empty()
                && let Some((index, job)) = waiting.next()
                && let Some(row) = free.pop()
            {
                streams.push(Stream::new(index, job, row, opening));
                let_in.push(row);
            }
            self.copy_opening(opening, &let_in)?;
            if streams.is_empty() {
                break;
            }
            let chosen = self.step(jobs, &mut streams).await?;
            let mut live = Vec::with_capacity(streams.len());
            for (mut stream, token) in streams.drain(..).zip(chosen) {
                let job = &jobs[stream.job];
                let verdict = match token {
                    _ if cancel.raised() => Some(StopReason::Cancelled),
                    None => None,
                    Some(token) => self.take(&mut stream, token, job, range, enough),
                };
                match verdict {
                    None => live.push(stream),
                    Some(reason) => {
                        free.push(stream.row);
                        let (job, generation) = stream.finish(reason);
                        done[job] = Some(generation);
                    }
                }
            }
            streams = live;
            if cancel.raised() {
                break;
            }
        }
        let unbegun = |job: &Job| Generation {
            tokens: Vec::new(),
            text: String::new(),
            stop_reason: StopReason::Cancelled,
            prompt_tokens: job.prompt.len(),
            reused_tokens: 0,
        };
        Ok(done.into_iter().zip(jobs).map(|(d, job)| d.unwrap_or_else(|| unbegun(job))).collect())
    }

    /// One pass: the next rows of every stream, and the token that follows for each whose rows are all in.
    async fn step(
        &mut self,
        jobs: &[Job],
        streams: &mut [Stream],
    ) -> Result<Vec<Option<u32>>, ModelError> {
        let mut rows: Vec<Row> = Vec::new();
        let mut last = Vec::new();
        for stream in streams.iter_mut() {
            let before = rows.len();
            rows.extend(stream.rows(self.pass_rows() - before));
            stream.cached += rows.len() - before;
            let whole = rows.len() > before && stream.cached == stream.tokens.len();
            last.push(whole.then(|| rows.len() as u32 - 1));
        }
        let targets: Vec<u32> = last.iter().flatten().copied().collect();
        self.run_cached(&rows, &targets).await?;
        let choosing = streams.iter_mut().zip(&last).filter(|(_, row)| row.is_some());
        let mut choices: Vec<Choice<'_>> = choosing
            .map(|(stream, _)| Choice {
                seen: &stream.tokens,
                sampling: &jobs[stream.job].sampling,
                random: &mut stream.random,
            })
            .collect();
        let mut chosen = self.sample(&mut choices).await?.into_iter();
        Ok(last.iter().map(|row| row.and_then(|_| chosen.next())).collect())
    }

    /// Adds a token to its stream, or says why the stream ends.
    fn take(
        &self,
        stream: &mut Stream,
        token: u32,
        job: &Job,
        range: usize,
        enough: &dyn Fn(&str) -> bool,
    ) -> Option<StopReason> {
        let written = stream.tokens.len() - stream.prompt;
        if written >= job.tokens_max || stream.tokens.len() >= range {
            return Some(StopReason::Length);
        }
        if self.tokenizer.stop_ids().contains(&token) {
            return Some(StopReason::Stop);
        }
        stream.tokens.push(token);
        let more = stream.decoder.push(&self.tokenizer, token);
        stream.text.push_str(&more);
        if enough(&stream.text) {
            return Some(StopReason::Stop);
        }
        (written + 1 >= job.tokens_max).then_some(StopReason::Length)
    }
}
