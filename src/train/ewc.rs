//! Elastic weight consolidation on a device: the penalty's gradient, and the sums that it is measured by.
//!
//! Two forms. Diagonal: λ/2 Σ F_i (θ_i - θ*_i)² over the adapter's numbers. Function: λ/2 s² Σ_ij g_i a_j (BA - B*A*)_ij² over
//! what each pair adds to its linear, which does not change where A and B change against each other. It knows no lessons.
//! Invariant: the penalty enters the gradient that the optimizer sees, and nothing else.

use super::importance::{Form, Importance, Spots};
use super::parts::part;
use crate::device::{Account, Buffer, Device, DeviceError, Recording};
use crate::kernels::{self, Half};
use crate::model::config::Config;
use crate::model::lora::{Flat, Lora, LoraLayout, Module};
use crate::tensor::Tensor;
use std::ops::Range;

/// A penalty's memory.
pub struct Ewc {
    form: Form,
    lambda: f32,
    /// The importance's inputs, where its form has any; while it is measured, their sums.
    inputs: Buffer,
    /// Its values, likewise.
    values: Buffer,
    anchor: Flat,
    /// Two halves' Gram matrices, `[2, 2, r, r]`, each half on a multiple of 256 bytes; the diagonal form has none.
    gram: Option<Buffer>,
    spots: Spots,
    layers: usize,
}

impl Ewc {
    /// Memory on the account's device; none where there is no form.
    pub fn new(
        account: &mut Account,
        config: &Config,
        layout: &LoraLayout,
        form: Option<Form>,
    ) -> Result<Option<Ewc>, DeviceError> {
        let Some(form) = form else { return Ok(None) };
        let device = &account.device().clone();
        let spots = Spots::new(config, layout);
        let (inputs, values, gram) = match form {
            Form::Diagonal => (0, layout.len, None),
            Form::Function => {
                let gram = device.alloc("Gram matrices", 2 * gram_bytes(layout.rank))?;
                (spots.inputs, spots.outputs, Some(gram))
            }
        };
        let [inputs, values] = [inputs, values].map(|n| device.alloc("importance", 4 * n as u64));
        let (inputs, values) = (inputs?, values?);
        let anchor = Flat::zeros(device, "anchor", layout)?;
        account.book("importance and anchor");
        Ok(Some(Ewc {
            form,
            lambda: 0.0,
            inputs,
            values,
            anchor,
            gram,
            spots,
            layers: config.layers,
        }))
    }

    /// Takes up a penalty of weight λ around the adapter in place.
    pub fn hold(
        &mut self,
        device: &Device,
        lora: &Lora,
        importance: &Importance,
        lambda: f32,
    ) -> Result<(), DeviceError> {
        let [inputs, values] = self.lens();
        let shape = (importance.form, importance.inputs.len(), importance.values.len());
        assert_eq!(shape, (self.form, inputs, values), "the importance of another adapter");
        self.lambda = lambda;
        if inputs > 0 {
            device.write(&self.inputs, 0, &importance.inputs)?;
        }
        device.write(&self.values, 0, &importance.values)?;
        let mut rec = Recording::new();
        let bytes = 4 * self.anchor.layout.len as u64;
        rec.copy(&lora.flat.buffer.slice(0, bytes), &self.anchor.buffer.slice(0, bytes));
        device.submit(rec)
    }

    /// Adds the penalty's gradient to `grads`; `parts` cut the flat vectors.
    pub fn pull(
        &self,
        rec: &mut Recording,
        lora: &Lora,
        grads: &Flat,
        parts: &[Range<usize>],
    ) -> Result<(), DeviceError> {
        if self.lambda == 0.0 {
            return Ok(());
        }
        let Some(gram) = &self.gram else {
            for range in parts {
                let f = self.values.slice(4 * range.start as u64, 4 * range.len() as u64);
                let [w, anchor, g] = [&lora.flat, &self.anchor, grads].map(|f| part(f, range));
                kernels::anchor_pull(rec, [&f, &w, &anchor], &g, range.len(), self.lambda)?;
            }
            return Ok(());
        };
        for layer in 0..self.layers {
            for module in Module::ALL {
                self.pull_pair(rec, lora, grads, gram, (layer, module))?;
            }
        }
        Ok(())
    }

    fn pull_pair(
        &self,
        rec: &mut Recording,
        lora: &Lora,
        grads: &Flat,
        gram: &Buffer,
        (layer, module): (usize, Module),
    ) -> Result<(), DeviceError> {
        let spot = self.spots.at(layer, module);
        let rank = lora.flat.layout.rank;
        let moments = |all: &Buffer, at: usize, n: usize| all.slice(4 * at as u64, 4 * n as u64);
        let a = moments(&self.inputs, spot.input, spot.inputs);
        let g = moments(&self.values, spot.output, spot.outputs);
        let [half_a, anchor_a, grad_a] =
            [&lora.flat, &self.anchor, grads].map(|flat| flat.a(layer, module).view);
        let [half_b, anchor_b, grad_b] =
            [&lora.flat, &self.anchor, grads].map(|flat| flat.b(layer, module).view);
        let bytes = gram_bytes(rank);
        let (gram_a, gram_b) = (gram.slice(0, bytes), gram.slice(bytes, bytes));
        let (ins, outs) = ([rank, spot.inputs], [rank, spot.outputs]);
        kernels::weighted_gram(rec, [&a, &half_a, &anchor_a], &gram_a, ins, false)?;
        kernels::weighted_gram(rec, [&g, &half_b, &anchor_b], &gram_b, outs, true)?;
        // D = s (B A - B* A*): the factor comes once from D and once from its derivative.
        let scale = self.lambda * lora.scale() * lora.scale();
        let (x, y) = (&half_b, &anchor_b);
        let b = Half { w: &g, x, y, gram: &gram_a, dims: outs, transposed: true };
        kernels::function_pull(rec, &b, &grad_b, scale)?;
        let (x, y) = (&half_a, &anchor_a);
        let a = Half { w: &a, x, y, gram: &gram_b, dims: ins, transposed: false };
        kernels::function_pull(rec, &a, &grad_a, scale)
    }

    /// Sets the sums to zero.
    pub fn clear(&self, rec: &mut Recording) {
        rec.clear(&self.inputs.view());
        rec.clear(&self.values.view());
    }

    /// Adds the squares of one text's gradient; only the diagonal form is made of them.
    pub fn add_gradient(
        &self,
        rec: &mut Recording,
        grads: &Flat,
        parts: &[Range<usize>],
    ) -> Result<(), DeviceError> {
        if self.form != Form::Diagonal {
            return Ok(());
        }
        for range in parts {
            let sums = self.values.slice(4 * range.start as u64, 4 * range.len() as u64);
            kernels::square_sums(rec, &part(grads, range), [1, range.len()], 1.0, &sums)?;
        }
        Ok(())
    }

    /// Adds the squares of what goes into a linear and of the gradient of what comes out; only the function form is made of
    /// them.
    pub fn add_rows(
        &self,
        rec: &mut Recording,
        (layer, module): (usize, Module),
        x: &Tensor,
        dy: &Tensor,
    ) -> Result<(), DeviceError> {
        if self.form != Form::Function {
            return Ok(());
        }
        let spot = self.spots.at(layer, module);
        for (rows, all, at) in [(x, &self.inputs, spot.input), (dy, &self.values, spot.output)] {
            let sums = all.slice(4 * at as u64, 4 * rows.cols as u64);
            kernels::square_sums(rec, &rows.view, [rows.rows, rows.cols], 1.0, &sums)?;
        }
        Ok(())
    }

    /// The importance from the sums over `texts` texts of `rows` rows.
    pub async fn measured(
        &self,
        device: &Device,
        texts: usize,
        rows: usize,
    ) -> Result<Importance, DeviceError> {
        let lens = self.lens();
        let read = async |buffer: &Buffer, len: usize, n: usize| -> Result<Vec<f32>, DeviceError> {
            if len == 0 {
                return Ok(Vec::new());
            }
            let sums = device.read::<f32>(&buffer.slice(0, 4 * len as u64)).await?;
            Ok(sums.into_iter().map(|sum| sum / n.max(1) as f32).collect())
        };
        let inputs = read(&self.inputs, lens[0], rows).await?;
        let values = read(&self.values, lens[1], texts).await?;
        Ok(Importance { form: self.form, rank: self.anchor.layout.rank, mass: 1.0, inputs, values })
    }

    /// Numbers of inputs and values.
    fn lens(&self) -> [usize; 2] {
        match self.form {
            Form::Diagonal => [0, self.anchor.layout.len],
            Form::Function => [self.spots.inputs, self.spots.outputs],
        }
    }
}

/// Bytes of one half's Gram matrices, so that the other half's can be bound behind them.
fn gram_bytes(rank: usize) -> u64 {
    (4 * 2 * rank * rank).next_multiple_of(256) as u64
}
