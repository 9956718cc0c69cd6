//! The trainer: all memory of a run, the gradient of a batch, and AdamW's step on the adapter in place.
//!
//! The adapter itself stays in the model, so that answers and scores see each step at once. Gradients and both
//! moments are flat like the adapter, so the optimizer, the clip and the norm are one pass each. Everything is
//! deterministic: the same seed and batches give the same adapter, bit for bit, on the same device.

use super::TrainError;
use super::backward::{Backward, Gradients};
use super::memory::{self, Head, Inputs, Memory, Shape, flat_parts};
use super::pack::{Pack, Sequence, Weighted, packs};
use super::plan::{LayerMemory, Plan};
use crate::device::{Account, Buffer, Device, DeviceError, Recording};
use crate::kernels::{self, AdamW, DOT_PARTIALS, Faster};
use crate::model::Model;
use crate::model::forward::{Keys, Net, Rows};
use crate::model::lora::{Flat, LoraLayout};
use crate::model::pass::gather_rows;
use crate::tensor::Tensor;
use std::ops::Range;

/// AdamW's constants (Loshchilov & Hutter 2019); no weight decay, since the run is short and gated.
const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPS: f32 = 1e-8;

/// Mean losses of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BatchLoss {
    /// Mean cross entropy of its targets, nats a token; 0 without any.
    pub tokens: f32,
    /// Mean KL of its targets, nats a token; 0 without any.
    pub base: f32,
    /// Targets learned by cross entropy.
    pub n_tokens: usize,
    /// Targets learned by KL.
    pub n_base: usize,
    /// Rows that went through the model.
    pub rows: usize,
}

/// All memory of a training run.
pub struct Trainer {
    device: Device,
    /// Most rows of a pass.
    rows: usize,
    step: u32,
    /// LoRA+: B learns so many times as fast as A.
    b_ratio: f32,
    grads: Flat,
    m: Flat,
    v: Flat,
    norm: Buffer,
    partials: Buffer,
    h: Vec<Tensor>,
    plan: Plan,
    layers: Vec<LayerMemory>,
    d: Gradients,
    input: Inputs,
    head: Head,
}

impl Trainer {
    /// Memory for passes of `rows` rows with an adapter laid out as `layout`, with as many layers' activations kept as the
    /// device has room for; a run that is known not to fit is refused.
    pub fn new(model: &Model, layout: &LoraLayout, rows: usize) -> Result<Trainer, TrainError> {
        let device = &model.device;
        let shape = shape(model, layout, rows);
        let plan = memory::fit(device.limits(), device.stats().bytes, shape)?;
        Trainer::with_plan(model, layout, rows, plan)
    }

    /// The same, keeping the activations that `plan` says.
    pub fn with_plan(
        model: &Model,
        layout: &LoraLayout,
        rows: usize,
        plan: Plan,
    ) -> Result<Trainer, TrainError> {
        let device = model.device.clone();
        let shape = shape(model, layout, rows);
        let memory = Memory::new(&mut Account::new(&device), shape, plan)?;
        let Memory { grads, m, v, norm, partials, h, layers, d, input, head } = memory;
        Ok(Trainer {
            device,
            rows,
            step: 0,
            b_ratio: 1.0,
            grads,
            m,
            v,
            norm,
            partials,
            h,
            plan,
            layers,
            d,
            input,
            head,
        })
    }

    /// Lets B learn `ratio` times as fast as A from now on (LoRA+, Hayou et al. 2024); 1 is plain AdamW.
    pub fn set_b_ratio(&mut self, ratio: f32) {
        self.b_ratio = ratio;
    }

    /// Most tokens of one sequence.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Steps taken.
    pub fn steps(&self) -> u32 {
        self.step
    }

    /// Sets the gradient to zero.
    pub fn zero_grad(&self) -> Result<(), DeviceError> {
        let mut rec = Recording::new();
        rec.clear(&self.grads.buffer.view());
        self.device.submit(rec)
    }

    /// Adds the gradient of the weighted sum of the sequences' mean losses; one pass a pack.
    pub async fn accumulate(
        &self,
        model: &Model,
        sequences: &[Sequence],
    ) -> Result<BatchLoss, TrainError> {
        let mut loss = BatchLoss::default();
        for pack in packs(sequences, self.rows) {
            if pack.tokens.is_empty() && pack.base.is_empty() {
                return Err(TrainError::NothingToLearn);
            }
            let rope = model.rope_table().view();
            let lora = model.lora().ok_or(TrainError::NoAdapter)?;
            let net = Net {
                config: &model.config,
                weights: &model.weights,
                lora: Some(lora),
                rope: &rope,
                tuning: None,
            };
            self.forward(&net, &pack)?;
            self.losses(&net, &pack)?;
            self.backward(&net, &pack)?;
            self.read_losses(&pack, &mut loss).await?;
            crate::device::yield_to_host().await;
        }
        let mean = |sum: &mut f32, n: usize| *sum /= n.max(1) as f32;
        mean(&mut loss.tokens, loss.n_tokens);
        mean(&mut loss.base, loss.n_base);
        if !(loss.tokens + loss.base).is_finite() {
            return Err(TrainError::Diverged { loss: loss.tokens + loss.base, step: self.step });
        }
        Ok(loss)
    }

    /// One AdamW step at learning rate `lr` with the gradient clipped to norm `clip` (0: not clipped).
    /// Returns the norm before the clip.
    pub async fn step(&mut self, model: &mut Model, lr: f32, clip: f32) -> Result<f32, TrainError> {
        self.step += 1;
        let lora = model.lora().ok_or(TrainError::NoAdapter)?;
        let parts: Vec<_> = flat_parts(&self.device, self.grads.layout.len).collect();
        let part = |flat: &Flat, part: &Range<usize>| {
            flat.buffer.slice(4 * part.start as u64, 4 * part.len() as u64)
        };
        let mut rec = Recording::new();
        for (i, range) in parts.iter().enumerate() {
            let (g, row) = (part(&self.grads, range), 4 * DOT_PARTIALS as u64);
            let partials = self.partials.slice(i as u64 * row, row);
            kernels::dot(&mut rec, &g, &g, range.len(), &partials)?;
        }
        let norm = self.norm.view();
        kernels::sum(&mut rec, &self.partials.view(), parts.len() * DOT_PARTIALS, &norm)?;
        let options = AdamW {
            lr,
            beta1: BETA1,
            beta2: BETA2,
            eps: EPS,
            weight_decay: 0.0,
            step: self.step,
            clip,
            n: 0,
            faster: None,
        };
        let faster = self.grads.layout.faster().filter(|_| self.b_ratio != 1.0);
        for range in &parts {
            let [g, p, m, v] = [&self.grads, &lora.flat, &self.m, &self.v].map(|f| part(f, range));
            let faster = faster.map(|(period, spans)| Faster {
                ratio: self.b_ratio,
                period,
                at: range.start % period,
                spans,
            });
            let options = AdamW { n: range.len(), faster, ..options };
            kernels::adamw(&mut rec, &g, &norm, &p, &m, &v, options)?;
        }
        self.device.submit(rec)?;
        let squares: f32 = self.device.read::<f32>(&self.norm.slice(0, 4)).await?[0];
        model.adapter_changed()?;
        if !squares.is_finite() {
            return Err(TrainError::Diverged { loss: squares, step: self.step });
        }
        Ok(squares.sqrt())
    }

    /// The gradient as it stands, in the adapter's flat order.
    pub async fn gradient(&self) -> Result<Vec<f32>, TrainError> {
        let view = self.grads.buffer.slice(0, 4 * self.grads.layout.len as u64);
        Ok(self.device.read(&view).await?)
    }

    /// The flat order of the gradient.
    pub fn layout(&self) -> &LoraLayout {
        &self.grads.layout
    }

    /// Runs a pack's rows forward, keeping every layer's input.
    fn forward(&self, net: &Net<'_>, pack: &Pack) -> Result<(), TrainError> {
        let n = pack.rows.len();
        let column: Vec<u32> = pack.rows.iter().map(|row| row.token).collect();
        self.device.write(&self.input.tokens, 0, &column)?;
        let places: Vec<u32> = pack.rows.iter().flat_map(|row| [row.position, row.key]).collect();
        self.device.write(&self.input.places, 0, &places)?;
        let spans: Vec<u32> = pack.rows.iter().flat_map(|row| row.span).collect();
        self.device.write(&self.input.spans, 0, &spans)?;
        let spans: Vec<u32> = pack.key_spans.iter().flatten().copied().collect();
        self.device.write(&self.input.key_spans, 0, &spans)?;
        let (places, spans) = (self.input.places.view(), self.input.spans.view());
        let rows = Rows { n, places: &places, spans: &spans };
        let mut rec = Recording::new();
        let tokens = self.input.tokens.view();
        kernels::embed(&mut rec, &net.weights.embedding, &tokens, &self.h[0].top(n))?;
        for layer in 0..net.config.layers {
            let (h_in, h_out) = (self.h[layer].top(n), self.h[layer + 1].top(n));
            let LayerMemory { a, mid, keys: (k, v) } = self.layers[layer].top(n);
            let keys = Keys { k: &k, v: &v };
            net.layer(&mut rec, layer, rows, keys, [&h_in, &mid, &h_out], &a)?;
        }
        rec.clear(&self.d.h.view);
        self.device.submit(rec)?;
        Ok(())
    }

    /// Losses of all targets, and their gradient on the last layer's output.
    fn losses(&self, net: &Net<'_>, pack: &Pack) -> Result<(), TrainError> {
        for (i, chunk) in pack.tokens.chunks(self.head.rows).enumerate() {
            self.loss_chunk(net, pack, chunk, i, None)?;
        }
        let first = pack.tokens.len().div_ceil(self.head.rows);
        let dim = net.config.dim;
        let teachers = pack.teacher.chunks(self.head.rows * dim);
        for (i, (chunk, teacher)) in pack.base.chunks(self.head.rows).zip(teachers).enumerate() {
            self.loss_chunk(net, pack, chunk, first + i, Some(teacher))?;
        }
        Ok(())
    }

    fn loss_chunk(
        &self,
        net: &Net<'_>,
        pack: &Pack,
        chunk: &[Weighted],
        index: usize,
        teacher: Option<&[f32]>,
    ) -> Result<(), TrainError> {
        let head = &self.head;
        let n = chunk.len();
        let at = (4 * index * head.stride) as u64;
        let bytes = 4 * n as u64;
        let column = |f: fn(&Weighted) -> u32| chunk.iter().map(f).collect::<Vec<u32>>();
        self.device.write(&head.indices, at, &column(|w| w.target.row))?;
        self.device.write(&head.labels, at, &column(|w| w.target.label))?;
        self.device.write(&head.weights, at, &column(|w| w.weight.to_bits()))?;
        let indices = head.indices.slice(at, bytes);
        let weights = head.weights.slice(at, bytes);
        let losses = head.losses.slice(at, bytes);
        let (h, norm) = (head.h.top(n), head.norm.top(n));
        let (d_h, d_norm) = (head.d_h.top(n), head.d_norm.top(n));
        let logits = head.logits.top(n);
        let mut rec = Recording::new();
        let last = self.h[net.config.layers].top(pack.rows.len());
        gather_rows(&mut rec, &last, &indices, &h)?;
        net.final_norm(&mut rec, &h, &norm)?;
        net.logits(&mut rec, &norm, &logits)?;
        match teacher {
            None => {
                let labels = head.labels.slice(at, bytes);
                kernels::cross_entropy(&mut rec, &labels, &weights, &logits, &losses)?;
            }
            Some(rows) => {
                self.device.write(head.teacher_norm.buffer(), 0, rows)?;
                let teacher = head.teacher.top(n);
                net.logits(&mut rec, &head.teacher_norm.top(n), &teacher)?;
                kernels::kl_divergence(&mut rec, &teacher, &weights, &logits, &losses)?;
            }
        }
        // forward: logits = norm(h) Eᵀ, the head frozen.
        kernels::matmul_dx(&mut rec, net.head(), &logits, &d_norm, false)?;
        rec.clear(&head.d_h.view);
        let gain = net.weights.out_norm.view();
        kernels::rms_norm_dx(&mut rec, &h, &gain, &d_norm, net.config.rms_eps, &d_h)?;
        kernels::scatter_rows(&mut rec, &d_h, &indices, &self.d.h.top(pack.rows.len()))?;
        self.device.submit(rec)?;
        Ok(())
    }

    /// From the last layer's output down to the first layer's adapter.
    fn backward(&self, net: &Net<'_>, pack: &Pack) -> Result<(), TrainError> {
        let n = pack.rows.len();
        let (places, spans) = (self.input.places.view(), self.input.spans.view());
        let key_spans = self.input.key_spans.view();
        let d = self.d.top(n);
        for layer in (0..net.config.layers).rev() {
            let memory = self.layers[layer].top(n);
            let backward = Backward {
                net: *net,
                lora: net.lora.ok_or(TrainError::NoAdapter)?,
                grads: &self.grads,
                rows: Rows { n, places: &places, spans: &spans },
                key_spans: &key_spans,
                memory: &memory,
                d: &d,
            };
            let mut rec = Recording::new();
            if !self.plan.keeps(layer) {
                backward.recompute(&mut rec, layer, &self.h[layer].top(n))?;
            }
            backward.layer(&mut rec, layer, &self.h[layer].top(n))?;
            self.device.submit(rec)?;
        }
        Ok(())
    }

    async fn read_losses(&self, pack: &Pack, loss: &mut BatchLoss) -> Result<(), TrainError> {
        loss.rows += pack.rows.len();
        loss.n_tokens += pack.tokens.len();
        loss.n_base += pack.base.len();
        let values = self.device.read::<f32>(&self.head.losses.view()).await?;
        let mut chunks = values.chunks(self.head.stride);
        for (targets, sum) in [(&pack.tokens, &mut loss.tokens), (&pack.base, &mut loss.base)] {
            for (targets, values) in targets.chunks(self.head.rows).zip(&mut chunks) {
                *sum += values[..targets.len()].iter().sum::<f32>();
            }
        }
        Ok(())
    }
}

fn shape<'a>(model: &'a Model, layout: &'a LoraLayout, rows: usize) -> Shape<'a> {
    Shape { config: &model.config, layout, rows, logit_rows: model.logit_rows() }
}
