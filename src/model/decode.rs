//! Decoding: one token after another without asking the host between them.
//!
//! A burst is one recording of several steps; each picks its token on the device, where the next step's embedding finds
//! it, and the ids are read back together. It knows no texts and no stop tokens: what comes after one is the caller's to
//! drop. Invariant: which tokens come does not depend on how they are cut into bursts.

use super::constraint::Constraint;
use super::forward::{Keys, Net, Rows};
use super::random::Random;
use super::sampler::{Choice, Sampling};
use super::{Model, ModelError};
use crate::device::{Buffer, Device, DeviceError, Recording, View, now_ms};
use crate::kernels;

/// Most steps of a burst: the most tokens that a stop token makes vain.
const BURST_MAX: usize = 16;

/// A burst that took longer than this is not made longer: texts should flow, and a cancel be heard.
const BURST_MS: f64 = 40.0;

/// Bytes between two steps' slots: WebGPU's alignment of bindings.
const SLOT: u64 = 256;

/// The memory that a burst's steps leave messages in, u32 in slots of 256 bytes: the token before the burst; for each
/// step its place and its span; for each step the token that it chose.
pub struct Burst {
    slots: Buffer,
    /// Steps of the next burst.
    len: usize,
}

/// The slot of the token that step `step` reads: what the host wrote, or what the step before chose.
fn token_slot(step: usize) -> u64 {
    if step == 0 { 0 } else { (2 * BURST_MAX + step) as u64 }
}

/// The slot of a step's place; its span comes next.
fn place_slot(step: usize) -> u64 {
    1 + 2 * step as u64
}

impl Burst {
    /// Memory for the longest burst.
    pub fn new(device: &Device) -> Result<Burst, DeviceError> {
        let slots = device.alloc("burst", (1 + 3 * BURST_MAX as u64) * SLOT)?;
        Ok(Burst { slots, len: 1 })
    }

    fn slot(&self, index: u64, bytes: u64) -> View {
        self.slots.slice(index * SLOT, bytes)
    }

    /// Begins with short bursts, as for a new answer.
    pub fn restart(&mut self) {
        self.len = 1;
    }

    /// Doubles the next burst where the last one, of `n` steps, was quick, and halves it where it was slow.
    fn adapt(&mut self, n: usize, ms: f64) {
        if ms > BURST_MS {
            self.len = (self.len / 2).max(1);
        } else if n == self.len {
            self.len = (2 * self.len).min(BURST_MAX);
        }
    }
}

impl Model {
    /// The tokens that follow the cache's tokens and `last`: one or more, at most `most`. All but the last of them have
    /// their keys in the cache afterwards.
    pub(super) async fn decode(
        &mut self,
        last: u32,
        most: usize,
        sampling: &Sampling,
        random: &mut Random,
    ) -> Result<Vec<u32>, ModelError> {
        // The penalty needs to know each token before the next; a CPU device has no read-back to save.
        let single = sampling.repetition_penalty != 1.0 || self.device.is_cpu();
        let capacity = self.cache.capacity;
        let room = capacity - self.cache.tokens.len();
        if room == 0 {
            return Err(ModelError::Context { wanted: capacity + 1, capacity });
        }
        let n = if single { 1 } else { self.burst.len.min(most.max(1)).min(room) };
        self.prepare_adapter()?;
        let began = now_ms();
        self.device.write(&self.burst.slots, 0, &self.messages(last, n))?;
        let mut rec = Recording::new();
        for step in 0..n {
            self.record_step(&mut rec, step)?;
            self.record_choice(&mut rec, step, last, sampling, random)?;
        }
        let chosen = self.burst.slot(token_slot(1), n as u64 * SLOT);
        let words = self.device.submit_and_read::<u32>(rec, &chosen).await?;
        let tokens: Vec<u32> = words.chunks(SLOT as usize / 4).map(|slot| slot[0]).collect();
        self.cache.tokens.push(last);
        self.cache.tokens.extend_from_slice(&tokens[..n - 1]);
        self.burst.adapt(n, now_ms() - began);
        crate::device::yield_to_host().await;
        Ok(tokens)
    }

    /// Makes the copy of the adapter that decoding reads, which must be of the numbers of now.
    pub fn prepare_adapter(&mut self) -> Result<(), ModelError> {
        match &mut self.lora {
            Some(lora) => Ok(lora.prepare(&self.device, &self.config)?),
            None => Ok(()),
        }
    }

    /// The token that follows the cache's tokens and `last`, chosen on the host among those that a form allows.
    pub(super) async fn decode_within(
        &mut self,
        last: u32,
        sampling: &Sampling,
        random: &mut Random,
        within: &mut Constraint,
    ) -> Result<u32, ModelError> {
        let rec = self.record_next(last)?;
        let seen = self.cache.tokens.clone();
        let choice = Choice { seen: &seen, sampling, random };
        let token = self.choose_within(rec, choice, within).await?;
        crate::device::yield_to_host().await;
        Ok(token)
    }

    /// The logits `[vocab]` that follow the cache's tokens and `token`, by decoding's own pass.
    pub async fn next_logits(&mut self, token: u32) -> Result<Vec<f32>, ModelError> {
        let rec = self.record_next(token)?;
        let logits = self.logits.buffer().slice(0, 4 * self.config.vocab as u64);
        Ok(self.device.submit_and_read(rec, &logits).await?)
    }

    /// Records the pass of one token that goes on the cache's; its logits are in row 0.
    fn record_next(&mut self, token: u32) -> Result<Recording, ModelError> {
        let capacity = self.cache.capacity;
        if self.cache.tokens.len() == capacity {
            return Err(ModelError::Context { wanted: capacity + 1, capacity });
        }
        self.prepare_adapter()?;
        self.device.write(&self.burst.slots, 0, &self.messages(token, 1))?;
        let mut rec = Recording::new();
        self.record_step(&mut rec, 0)?;
        self.cache.tokens.push(token);
        Ok(rec)
    }

    /// What the host has to say to `n` steps: the token before them, and that each is one row that sees all before it.
    fn messages(&self, last: u32, n: usize) -> Vec<u32> {
        let words = SLOT as usize / 4;
        let mut slots = vec![0; (1 + 2 * n) * words];
        slots[0] = last;
        for step in 0..n {
            let row = (self.cache.tokens.len() + step) as u32;
            let at = place_slot(step) as usize * words;
            slots[at..at + 2].copy_from_slice(&[row, row]);
            slots[at + words..at + words + 4].copy_from_slice(&[0, row + 1, 0, 0]);
        }
        slots
    }

    /// Records the forward pass of step `step`'s token; its logits are in row 0.
    fn record_step(&self, rec: &mut Recording, step: usize) -> Result<(), ModelError> {
        let places = self.burst.slot(place_slot(step), 8);
        let spans = self.burst.slot(place_slot(step) + 1, 16);
        let rows = Rows { n: 1, places: &places, spans: &spans };
        let rope = self.rope.view();
        let net = Net { tuning: Some(&self.tuning), ..self.net(&rope) };
        let a = self.work.a.top(1);
        let [mut h_in, h_mid, mut h_out] = self.work.h.each_ref().map(|h| h.top(1));
        let token = self.burst.slot(token_slot(step), 4);
        kernels::embed(rec, &self.weights.embedding, &token, &h_in)?;
        for (layer, (k, v)) in self.cache.layers.iter().enumerate() {
            let keys = Keys { k, v };
            if net.decodes(layer) {
                net.decode_layer(rec, layer, rows, keys, &h_in, &self.one)?;
            } else {
                net.layer(rec, layer, rows, keys, [&h_in, &h_mid, &h_out], &a)?;
                std::mem::swap(&mut h_in, &mut h_out);
            }
        }
        net.final_norm(rec, &h_in, &a.norm)?;
        net.logits(rec, &a.norm, &self.logits.top(1))?;
        Ok(())
    }

    /// Records the choice of the token that follows step `step`.
    fn record_choice(
        &self,
        rec: &mut Recording,
        step: usize,
        last: u32,
        sampling: &Sampling,
        random: &mut Random,
    ) -> Result<(), ModelError> {
        if sampling.repetition_penalty != 1.0 {
            let mut seen = self.cache.tokens.clone();
            seen.push(last);
            self.penalize(rec, &[Choice { seen: &seen, sampling, random: &mut *random }])?;
        }
        let logits = self.logits.top(1);
        let id = self.burst.slot(token_slot(step + 1), 4);
        if sampling.greedy() {
            return Ok(kernels::argmax(rec, &logits, &id)?);
        }
        let k = sampling.candidates().min(self.config.vocab);
        kernels::top_k(rec, &logits, k, &self.picked.view())?;
        Ok(kernels::draw(rec, &self.picked.view(), k, sampling.nucleus(random), &id)?)
    }
}
