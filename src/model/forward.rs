//! The forward pass of a transformer of any of the families, recorded: rows of tokens in, hidden rows out.
//!
//! One function a part of a layer, shared by generation (keys and values go to a cache) and by training (they go
//! to a layer's own rows); the caller owns all memory. Row t of a pass sits at `places[t]` and sees the key
//! rows of `spans[t]`, so packed sequences and branches need no other mask.

use super::lora::{Lora, Method, Module};
use super::tuning::Tuning;
use super::weights::{Layer, Weights};
use crate::device::{DeviceError, Recording, View};
use crate::kernels::{self, AttentionShape, Gemv, RopeHeads, RopeShape};
use crate::model::config::Config;
use crate::tensor::{Tensor, Weight};

/// The model as a pass reads it.
#[derive(Clone, Copy)]
pub struct Net<'a> {
    /// Its shape.
    pub config: &'a Config,
    /// Its frozen weights.
    pub weights: &'a Weights,
    /// The adapter beside them, if any.
    pub lora: Option<&'a Lora>,
    /// cos and sin, `[context, head_dim / 2, 2]`.
    pub rope: &'a View,
    /// How one row is multiplied; none is the plain way, and the only one in training and scoring.
    pub tuning: Option<&'a Tuning>,
}

/// Where the rows of a pass sit and what they see.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// How many.
    pub n: usize,
    /// u32 `[n, 2]`: position of each row in its sequence, and the row that its key goes to.
    pub places: &'a View,
    /// u32 `[n, 4]`: key rows lo..hi that a row sees, but for the hole lo..hi.
    pub spans: &'a View,
}

/// Where a layer's keys and values go, and are read from.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    /// `[capacity, kv_heads * head_dim]`, RoPE applied.
    pub k: &'a Tensor,
    /// The same shape.
    pub v: &'a Tensor,
}

/// What a layer computes on the way; all `[n, …]`. Clones share memory.
#[derive(Clone)]
pub struct Activations {
    /// Output of a norm, `[n, dim]`.
    pub norm: Tensor,
    /// Queries, `[n, heads * head_dim]`.
    pub q: Tensor,
    /// Keys before RoPE, `[n, kv_heads * head_dim]`.
    pub k: Tensor,
    /// Values, the same shape.
    pub v: Tensor,
    /// Queries and keys before their heads' norms, where the family norms them.
    pub unnormed: Option<[Tensor; 2]>,
    /// Attention's output, `[n, heads * head_dim]`.
    pub attn: Tensor,
    /// Log-sum-exp and D, `[n, heads * 2]`.
    pub stats: Tensor,
    /// SwiGLU's gate, `[n, ff]`.
    pub gate: Tensor,
    /// SwiGLU's other factor, `[n, ff]`.
    pub up: Tensor,
    /// SwiGLU's output, `[n, ff]`.
    pub act: Tensor,
    /// A block's output before the residual, `[n, dim]`.
    pub out: Tensor,
    /// LoRA's U, `[n, r]`; of one column where there is no adapter.
    pub u: Tensor,
}

impl Activations {
    /// The same memory for a pass of fewer rows.
    pub fn top(&self, n: usize) -> Activations {
        Activations {
            norm: self.norm.top(n),
            q: self.q.top(n),
            k: self.k.top(n),
            v: self.v.top(n),
            unnormed: self.unnormed.as_ref().map(|both| both.each_ref().map(|t| t.top(n))),
            attn: self.attn.top(n),
            stats: self.stats.top(n),
            gate: self.gate.top(n),
            up: self.up.top(n),
            act: self.act.top(n),
            out: self.out.top(n),
            u: self.u.top(n),
        }
    }

    /// What the linears of queries and keys write to.
    fn linear_outputs(&self) -> [&Tensor; 2] {
        self.unnormed.as_ref().map_or([&self.q, &self.k], |unnormed| unnormed.each_ref())
    }
}

impl Net<'_> {
    /// `y = W x + b`, and what the adapter makes of it. (IA)³'s factors of inputs are in x already (`scale_inputs`).
    pub fn linear(
        &self,
        rec: &mut Recording,
        layer: usize,
        module: Module,
        x: &Tensor,
        y: &Tensor,
        u: &Tensor,
    ) -> Result<(), DeviceError> {
        self.product(rec, layer, module, x, y, u)?;
        if let Some(factors) = self.lora.and_then(|lora| lora.output_factors(layer, module)) {
            kernels::scale_columns(rec, &factors, y)?;
        }
        let bias = self.weights.layers[layer].bias(module).filter(|_| !self.multiplies_bias());
        bias.map_or(Ok(()), |bias| kernels::add_bias(rec, &bias, y))
    }

    /// What the adapter's factors of outputs multiply: `y = W x + s B A x`, or (IA)³'s `W x + b`.
    pub fn product(
        &self,
        rec: &mut Recording,
        layer: usize,
        module: Module,
        x: &Tensor,
        y: &Tensor,
        u: &Tensor,
    ) -> Result<(), DeviceError> {
        let weights: &Layer = &self.weights.layers[layer];
        kernels::linear(rec, weights.linear(module), x, y, false)?;
        if let Some(bias) = weights.bias(module).filter(|_| self.multiplies_bias()) {
            kernels::add_bias(rec, &bias, y)?;
        }
        let Some(lora) = self.lora.filter(|lora| lora.method().has_pairs()) else { return Ok(()) };
        let [a, b] = lora.pair(layer, module);
        let u = u.reshape(x.rows, a.rows);
        kernels::lora_a(rec, x, &a, &u)?;
        kernels::lora_b(rec, &u, &b, lora.scale(), y)
    }

    /// (IA)³ multiplies a linear's bias with the rest; DoRA does not, and LoRA multiplies nothing.
    fn multiplies_bias(&self) -> bool {
        self.lora.is_some_and(|lora| lora.method() == Method::Ia3)
    }

    /// `x = l ∘ x` where the adapter has factors for a linear's inputs.
    pub fn scale_inputs(
        &self,
        rec: &mut Recording,
        layer: usize,
        module: Module,
        x: &Tensor,
    ) -> Result<(), DeviceError> {
        let factors = self.lora.and_then(|lora| lora.input_factors(layer, module));
        factors.map_or(Ok(()), |factors| kernels::scale_columns(rec, &factors, x))
    }

    /// The way of a one-row product with this matrix: what was tuned, else the plain one.
    pub(super) fn way(&self, w: &Weight) -> Gemv {
        self.tuning.map_or(Gemv::PLAIN, |tuning| tuning.of(w.ty))
    }

    /// The shape of this model's attention.
    pub fn attention_shape(&self) -> AttentionShape {
        let Config { heads, kv_heads, head_dim, .. } = *self.config;
        AttentionShape { heads, kv_heads, head_dim }
    }

    /// Turns gradients of queries and keys back by their rows' positions.
    pub fn rope_back(
        &self,
        rec: &mut Recording,
        rows: Rows<'_>,
        dq: &Tensor,
        dk: &Tensor,
    ) -> Result<(), DeviceError> {
        let Config { heads, kv_heads, head_dim, .. } = *self.config;
        for (x, heads) in [(dq, heads), (dk, kv_heads)] {
            let shape = RopeShape {
                rows: rows.n,
                heads,
                head_dim,
                interleaved: self.config.arch.interleaves_rope(),
                inverse: true,
            };
            kernels::rope(rec, self.rope, rows.places, x, shape)?;
        }
        Ok(())
    }

    /// Norm, queries, keys, values, RoPE and attention: `h_in` to `a.attn`.
    pub fn attend(
        &self,
        rec: &mut Recording,
        layer: usize,
        rows: Rows<'_>,
        keys: Keys<'_>,
        h_in: &Tensor,
        a: &Activations,
    ) -> Result<(), DeviceError> {
        let weights: &Layer = &self.weights.layers[layer];
        kernels::rms_norm(rec, h_in, &weights.attn_norm.view(), self.config.rms_eps, &a.norm)?;
        let [q, k] = a.linear_outputs();
        self.linear(rec, layer, Module::Q, &a.norm, q, &a.u)?;
        self.linear(rec, layer, Module::K, &a.norm, k, &a.u)?;
        self.linear(rec, layer, Module::V, &a.norm, &a.v, &a.u)?;
        self.norm_heads(rec, layer, a)?;
        self.look(rec, rows, keys, a)
    }

    /// Norms each head of queries and keys to `a.q` and `a.k`, where the family does so.
    fn norm_heads(
        &self,
        rec: &mut Recording,
        layer: usize,
        a: &Activations,
    ) -> Result<(), DeviceError> {
        let gains = self.weights.layers[layer].head_norms();
        let (Some(from), Some(gains)) = (&a.unnormed, gains) else { return Ok(()) };
        for ((from, gain), to) in from.iter().zip(gains).zip([&a.q, &a.k]) {
            let (from, to) = (self.heads(from), self.heads(to));
            kernels::rms_norm(rec, &from, &gain, self.config.rms_eps, &to)?;
        }
        Ok(())
    }

    /// The same memory with a row for each head.
    pub fn heads(&self, x: &Tensor) -> Tensor {
        let head_dim = self.config.head_dim;
        x.reshape(x.rows * x.cols / head_dim, head_dim)
    }

    /// RoPE and attention: `a.q`, `a.k` and `a.v` to the cache's rows and to `a.attn`.
    fn look(
        &self,
        rec: &mut Recording,
        rows: Rows<'_>,
        keys: Keys<'_>,
        a: &Activations,
    ) -> Result<(), DeviceError> {
        let Config { heads, kv_heads, head_dim, .. } = *self.config;
        let interleaved = self.config.arch.interleaves_rope();
        let shape = RopeHeads { heads, kv_heads, head_dim, interleaved };
        let (new, cache) = ((&a.k, &a.v), (keys.k, keys.v));
        kernels::rope_store(rec, self.rope, rows.places, new, &a.q, cache, shape)?;
        let shape = self.attention_shape();
        let (k, v, spans) = (keys.k, keys.v, rows.spans);
        kernels::attention(rec, &a.q, k, v, spans, None, &a.attn, &a.stats, shape)
    }

    /// Norm, gate, up and SwiGLU: `h_mid` to `a.act`, as down takes it.
    pub fn feed(
        &self,
        rec: &mut Recording,
        layer: usize,
        h_mid: &Tensor,
        a: &Activations,
    ) -> Result<(), DeviceError> {
        let weights: &Layer = &self.weights.layers[layer];
        kernels::rms_norm(rec, h_mid, &weights.ffn_norm.view(), self.config.rms_eps, &a.norm)?;
        self.linear(rec, layer, Module::Gate, &a.norm, &a.gate, &a.u)?;
        self.linear(rec, layer, Module::Up, &a.norm, &a.up, &a.u)?;
        kernels::swiglu(rec, &a.gate, &a.up, &a.act)?;
        self.scale_inputs(rec, layer, Module::Down, &a.act)
    }

    /// A whole layer: `h_in` to `h_out`, by way of `h_mid`; the three are different memory.
    pub fn layer(
        &self,
        rec: &mut Recording,
        layer: usize,
        rows: Rows<'_>,
        keys: Keys<'_>,
        h: [&Tensor; 3],
        a: &Activations,
    ) -> Result<(), DeviceError> {
        let [h_in, h_mid, h_out] = h;
        self.attend(rec, layer, rows, keys, h_in, a)?;
        self.linear(rec, layer, Module::O, &a.attn, &a.out, &a.u)?;
        kernels::add(rec, h_in, &a.out, h_mid)?;
        self.feed(rec, layer, h_mid, a)?;
        self.linear(rec, layer, Module::Down, &a.act, &a.out, &a.u)?;
        kernels::add(rec, h_mid, &a.out, h_out)
    }

    /// The last norm: `h` to `norm`.
    pub fn final_norm(
        &self,
        rec: &mut Recording,
        h: &Tensor,
        norm: &Tensor,
    ) -> Result<(), DeviceError> {
        kernels::rms_norm(rec, h, &self.weights.out_norm.view(), self.config.rms_eps, norm)
    }

    /// The vocabulary's matrix: the embedding's own where the two are tied.
    pub fn head(&self) -> &Weight {
        self.weights.head.as_ref().unwrap_or(&self.weights.embedding)
    }

    /// Logits `[n, vocab]` of normed rows `[n, dim]`.
    pub fn logits(
        &self,
        rec: &mut Recording,
        norm: &Tensor,
        logits: &Tensor,
    ) -> Result<(), DeviceError> {
        let head = self.head();
        match norm.rows {
            1 => kernels::matvec(rec, head, norm, logits, false, self.way(head), None),
            _ => kernels::linear(rec, head, norm, logits, false),
        }
    }
}
