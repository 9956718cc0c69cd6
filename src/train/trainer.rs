//! The trainer: all memory of a run, the gradient of a batch, and AdamW's step on the adapter in place.
//!
//! The adapter itself stays in the model, so that answers and scores see each step at once. Gradients and both
//! moments are flat like the adapter, so the optimizer, the clip and the norm are one pass each. Everything is
//! deterministic: the same seed and batches give the same adapter, bit for bit, on the same device.

use super::TrainError;
use super::backward::{Backward, Gradients};
use super::batch_loss::BatchLoss;
use super::ewc::Ewc;
use super::importance::{Form, Importance};
use super::memory::{self, Guards, Head, Inputs, Memory, Shape};
use super::pack::{Pack, Sequence, packs};
use super::parts::{flat_parts, part, product};
use super::plan::{LayerMemory, Plan};
use super::surgery::Protected;
use crate::device::{Account, Buffer, Device, DeviceError, Recording};
use crate::kernels::{self, AdamW, Faster};
use crate::model::Model;
use crate::model::forward::{Keys, Net, Rows};
use crate::model::lora::{Flat, Lora, LoraLayout};
use crate::tensor::Tensor;
use std::ops::Range;

/// AdamW's constants (Loshchilov & Hutter 2019); no weight decay, since the run is short and gated.
const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPS: f32 = 1e-8;

/// All memory of a training run.
pub struct Trainer {
    pub(super) device: Device,
    /// Most rows of a pass.
    rows: usize,
    pub(super) step: u32,
    /// LoRA+: B learns so many times as fast as A.
    b_ratio: f32,
    pub(super) grads: Flat,
    pub(super) m: Flat,
    pub(super) v: Flat,
    norm: Buffer,
    partials: Buffer,
    pub(super) h: Vec<Tensor>,
    plan: Plan,
    layers: Vec<LayerMemory>,
    pub(super) d: Gradients,
    input: Inputs,
    pub(super) head: Head,
    protected: Option<Protected>,
    pub(super) ewc: Option<Ewc>,
}

impl Trainer {
    /// Memory for passes of `rows` rows with an adapter laid out as `layout`, with as many layers' activations kept as the
    /// device has room for; a run that is known not to fit is refused.
    pub fn new(model: &Model, layout: &LoraLayout, rows: usize) -> Result<Trainer, TrainError> {
        Trainer::guarded(model, layout, rows, Guards::default())
    }

    /// The same with what protects earlier learning.
    pub fn guarded(
        model: &Model,
        layout: &LoraLayout,
        rows: usize,
        guards: Guards,
    ) -> Result<Trainer, TrainError> {
        if guards.ewc == Some(Form::Function) && !layout.method.has_pairs() {
            return Err(TrainError::NoPairs { method: layout.method });
        }
        let device = &model.device;
        let shape = Shape { guards, ..shape(model, layout, rows) };
        let plan = memory::fit(device.limits(), device.stats().bytes, shape)?;
        Trainer::of(model, shape, plan)
    }

    /// The same, keeping the activations that `plan` says.
    pub fn with_plan(
        model: &Model,
        layout: &LoraLayout,
        rows: usize,
        plan: Plan,
    ) -> Result<Trainer, TrainError> {
        Trainer::of(model, shape(model, layout, rows), plan)
    }

    fn of(model: &Model, shape: Shape<'_>, plan: Plan) -> Result<Trainer, TrainError> {
        let device = model.device.clone();
        let memory = Memory::new(&mut Account::new(&device), shape, plan)?;
        let Memory { grads, m, v, norm, partials, h, layers, d, input, head, .. } = memory;
        Ok(Trainer {
            device,
            rows: shape.rows,
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
            protected: memory.protected,
            ewc: memory.ewc,
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

    /// Takes up EWC's penalty of weight λ around the adapter in place; the run must have been made for its form.
    pub fn hold(
        &mut self,
        model: &Model,
        importance: &Importance,
        lambda: f32,
    ) -> Result<(), TrainError> {
        let lora = model.lora().ok_or(TrainError::NoAdapter)?;
        let ewc = self.ewc.as_mut().expect("the run was made for a penalty");
        Ok(ewc.hold(&self.device, lora, importance, lambda)?)
    }

    /// Sets the gradients to zero.
    pub fn zero_grad(&self) -> Result<(), DeviceError> {
        let mut rec = Recording::new();
        rec.clear(&self.grads.buffer.view());
        if let Some(protected) = &self.protected {
            rec.clear(&protected.grads.buffer.view());
        }
        self.device.submit(rec)
    }

    /// Adds the gradient of the weighted sum of the sequences' mean losses; one pass a pack.
    pub async fn accumulate(
        &self,
        model: &Model,
        sequences: &[Sequence],
    ) -> Result<BatchLoss, TrainError> {
        self.accumulate_into(&self.grads, None, model, sequences).await
    }

    /// The same for sequences that teach and others that protect. With surgery their gradients are kept apart, and what
    /// teaches gives way at the step; without, they share passes.
    pub async fn accumulate_both(
        &self,
        model: &Model,
        mut teach: Vec<Sequence>,
        protect: Vec<Sequence>,
    ) -> Result<BatchLoss, TrainError> {
        let Some(protected) = &self.protected else {
            teach.extend(protect);
            return self.accumulate(model, &teach).await;
        };
        let taught = self.accumulate(model, &teach).await?;
        Ok(taught.with(self.accumulate_into(&protected.grads, None, model, &protect).await?))
    }

    pub(super) async fn accumulate_into(
        &self,
        grads: &Flat,
        squares: Option<&Ewc>,
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
            self.backward(&net, &pack, grads, squares)?;
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
        let parts = self.parts();
        let mut rec = Recording::new();
        self.guard(&mut rec, lora, &parts)?;
        let norm = self.norm.view();
        product(&mut rec, [&self.grads, &self.grads], &parts, &self.partials, &norm)?;
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

    /// Makes the gradient what the optimizer is to see: with the penalty's, and with surgery where two are kept apart. The
    /// penalty protects, so it is on that side.
    fn guard(
        &self,
        rec: &mut Recording,
        lora: &Lora,
        parts: &[Range<usize>],
    ) -> Result<(), DeviceError> {
        if let Some(ewc) = &self.ewc {
            let grads = self.protected.as_ref().map_or(&self.grads, |protected| &protected.grads);
            ewc.pull(rec, lora, grads, parts)?;
        }
        if let Some(protected) = &self.protected {
            protected.merge(rec, &self.grads, &self.partials)?;
        }
        Ok(())
    }

    /// The parts of the flat vectors.
    pub(super) fn parts(&self) -> Vec<Range<usize>> {
        flat_parts(&self.device, self.grads.layout.len).collect()
    }

    /// The gradient as it stands, in the adapter's flat order; after a step, the one that the optimizer saw.
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

    /// From the last layer's output down to the first layer's adapter.
    fn backward(
        &self,
        net: &Net<'_>,
        pack: &Pack,
        grads: &Flat,
        squares: Option<&Ewc>,
    ) -> Result<(), TrainError> {
        let n = pack.rows.len();
        let (places, spans) = (self.input.places.view(), self.input.spans.view());
        let key_spans = self.input.key_spans.view();
        let d = self.d.top(n);
        for layer in (0..net.config.layers).rev() {
            let memory = self.layers[layer].top(n);
            let backward = Backward {
                net: *net,
                lora: net.lora.ok_or(TrainError::NoAdapter)?,
                grads,
                squares,
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
}

fn shape<'a>(model: &'a Model, layout: &'a LoraLayout, rows: usize) -> Shape<'a> {
    let (config, logit_rows) = (&model.config, model.logit_rows());
    Shape { config, layout, rows, logit_rows, guards: Guards::default() }
}
